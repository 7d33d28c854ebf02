//! The two seams through which the API server reaches what it must not know: addresses of the
//! virtual network (`Dialer`) and nodes' agents (`NodeTransport`). `serve/` fills them in; a node
//! on another machine is another implementation, not another code path.

use async_trait::async_trait;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream, whatever carries it.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// A boxed [`ByteStream`].
pub type BoxStream = Box<dyn ByteStream>;

/// Opens connections to addresses of the cluster (pods now, services later).
#[async_trait]
pub trait Dialer: Send + Sync {
    /// Connects to `to`; the error kinds are those of a kernel's `connect`.
    async fn dial(&self, to: SocketAddr) -> io::Result<BoxStream>;
}

/// Why an address was not reached, as Go's `net` words it, and with it Kubernetes.
pub fn dial_words(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {why}")
}

/// Opens connections to the HTTP/1.1 server of a node's agent (logs, exec, port-forward).
#[async_trait]
pub trait NodeTransport: Send + Sync {
    /// Connects to the agent of `node`. An unknown node is `io::ErrorKind::NotFound`.
    async fn connect(&self, node: &str) -> io::Result<BoxStream>;

    /// The value of the `Authorization` header by which the agent of `node` knows the caller.
    fn authorization(&self, node: &str) -> String;
}
