//! Where a port-forward leads: one pod, whose ports are dialed, and the bytes between. Must not
//! know how the client's streams are carried.

use super::dial;
use crate::api::ApiServer;
use crate::stdx::BoxStream;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes that are read from a pod at a time.
const PIECE_BYTES: usize = 32 << 10;

/// The pod that is forwarded to.
#[derive(Clone)]
pub(crate) struct Pod {
    pub(crate) server: Arc<ApiServer>,
    pub(crate) address: IpAddr,
    /// `namespace/name`, for messages.
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Pod {
    /// Connects to a port. The error is what the client is told.
    pub(crate) async fn connect(&self, port: u16) -> Result<BoxStream, String> {
        dial(&self.server, SocketAddr::new(self.address, port))
            .await
            .map_err(|error| {
                format!(
                    "error forwarding port {port} to pod {}, uid {}: {error}",
                    self.name, self.uid
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
