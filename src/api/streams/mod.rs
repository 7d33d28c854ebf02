//! Byte streams through the server: to nodes' agents, and (port-forward, proxy) to addresses of the
//! cluster. Must not know verbs.

pub(crate) mod channels;
pub(crate) mod forward;
pub(crate) mod node;
pub(crate) mod spdy;
pub(crate) mod spdy_forward;
pub(crate) mod websocket;

use crate::api::ApiServer;
use crate::stdx::BoxStream;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a connection into the cluster may take to be made.
const DIAL_TIME_MAX: Duration = Duration::from_secs(30);

/// Connects to an address of the cluster. The error reads as Go's `net` words it.
pub(crate) async fn dial(server: &ApiServer, address: SocketAddr) -> io::Result<BoxStream> {
    let dialed = tokio::select! {
        dialed = server.dialer.dial(address) => dialed,
        () = server.clock.sleep(DIAL_TIME_MAX) => Err(io::ErrorKind::TimedOut.into()),
    };
    dialed.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
            io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("dial tcp {address}: {why}"))
    })
}

/// Joins two upgraded connections until both are done.
pub(crate) async fn join_upgraded(client: OnUpgrade, pod: OnUpgrade) {
    let (client, pod) = match tokio::try_join!(client, pod) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade was not finished");
            return;
        }
    };
    let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut pod).await {
        tracing::debug!(%error, "an upgraded connection ended badly");
    }
}
