//! Byte streams through the server: to nodes' agents, and (proxy) to addresses of the cluster. Must
//! not know verbs.

pub(crate) mod node;

use crate::api::ApiServer;
use crate::stdx::{BoxStream, Clock, dial_words};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long a connection into the cluster may take to be made.
const DIAL_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a client that was told the end may take to hang up.
const LINGER: Duration = Duration::from_secs(5);

/// Connects to an address of the cluster. The error reads as Go's `net` words it.
pub(crate) async fn dial(server: &ApiServer, address: SocketAddr) -> io::Result<BoxStream> {
    let dialed = tokio::select! {
        dialed = server.dialer.dial(address) => dialed,
        () = server.clock.sleep(DIAL_TIME_MAX) => Err(io::ErrorKind::TimedOut.into()),
    };
    dialed.map_err(|error| io::Error::new(error.kind(), dial_words(address, &error)))
}

/// Joins a client to a node's agent, both upgraded, until either has ended: an agent's end is the
/// end, and a client that was told it hangs up, or is cut off.
pub(crate) async fn join_to_agent(client: OnUpgrade, agent: OnUpgrade, clock: Clock) {
    let Ok((client, agent)) = tokio::try_join!(client, agent) else {
        tracing::debug!("an upgrade was not finished");
        return;
    };
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_agent, mut to_agent) = tokio::io::split(TokioIo::new(agent));
    let answering = async {
        // Whoever has gone away needs to be told nothing.
        let _ = tokio::io::copy(&mut from_agent, &mut to_client).await;
        let _ = to_client.shutdown().await;
        clock.sleep(LINGER).await;
    };
    let asking = tokio::io::copy(&mut from_client, &mut to_agent);
    tokio::select! {
        () = answering => {}
        _ = asking => {}
    }
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
