//! The API's listening socket: the port that was asked for, or the default one, or a free one.

use crate::serve::ServeError;
use crate::serve::config::default_listen;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The socket, and whether the default port was taken and replaced.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) replaced: bool,
}

/// Binds the API's socket. A port that was asked for and is taken is an error; the default port
/// that is taken is replaced by a free one.
pub(crate) async fn bind(asked: Option<SocketAddr>) -> Result<Listening, ServeError> {
    let address = asked.unwrap_or_else(default_listen);
    let refused = |error: io::Error| ServeError::Listen {
        address: address.to_string(),
        why: error.to_string(),
    };
    let (listener, replaced) = match TcpListener::bind(address).await {
        Ok(listener) => (listener, false),
        Err(error) if asked.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            let free = SocketAddr::new(address.ip(), 0);
            (TcpListener::bind(free).await.map_err(refused)?, true)
        }
        Err(error) => return Err(refused(error)),
    };
    let address = listener.local_addr().map_err(refused)?;
    Ok(Listening {
        listener,
        address,
        replaced,
    })
}
