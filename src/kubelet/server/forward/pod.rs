//! Where a port-forward leads: one pod, whose ports are dialed, and the bytes between. Must not
//! know how the client's streams are carried.

use crate::kubelet::node::Node;
use crate::stdx::{BoxStream, Dialer, dial_words};
use bytes::Bytes;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How long a connection to a pod may take to be made.
const DIAL_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes that are read from a pod at a time.
const PIECE_BYTES: usize = 32 << 10;

/// The pod that is forwarded to.
#[derive(Clone)]
pub(super) struct Pod {
    pub(super) node: Arc<Node>,
    pub(super) address: IpAddr,
    /// `namespace/name`, for messages.
    pub(super) name: String,
    pub(super) uid: String,
}

impl Pod {
    /// Connects to a port. The error is what the client is told.
    pub(super) async fn connect(&self, port: u16) -> Result<BoxStream, String> {
        let to = SocketAddr::new(self.address, port);
        let dialed = tokio::select! {
            dialed = Dialer::dial(&*self.node.fabric, to) => dialed,
            () = self.node.clock.sleep(DIAL_TIME_MAX) => Err(io::ErrorKind::TimedOut.into()),
        };
        dialed.map_err(|error| {
            format!(
                "error forwarding port {port} to pod {}, uid {}: {}",
                self.name,
                self.uid,
                dial_words(to, &error)
            )
        })
    }
}

/// Carries bytes both ways between a client's channel and a pod, until the pod has ended or nobody
/// takes its answers; `message` wraps a piece of them for the protocol.
pub(super) async fn joined<T>(
    stream: BoxStream,
    mut from_client: mpsc::Receiver<Bytes>,
    to_client: &mpsc::Sender<T>,
    message: impl Fn(&[u8]) -> T,
) {
    let (mut from_pod, mut to_pod) = tokio::io::split(stream);
    let sending = async {
        while let Some(bytes) = from_client.recv().await {
            if to_pod.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The client has ended its half; the pod may still answer.
        let _ = to_pod.shutdown().await;
        std::future::pending::<()>().await;
    };
    let receiving = async {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length) = from_pod.read(&mut piece).await {
            let bytes = piece.get(..length).unwrap_or_default();
            if length == 0 || to_client.send(message(bytes)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
}
