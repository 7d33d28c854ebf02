//! Where a port-forward leads: one pod, whose ports are dialed. Must not know how the client's
//! streams are carried.

use super::dial;
use crate::api::ApiServer;
use crate::stdx::BoxStream;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes that are read from a pod at a time.
pub(crate) const PIECE_BYTES: usize = 32 << 10;

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
