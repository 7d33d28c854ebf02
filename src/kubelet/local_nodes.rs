//! The nodes of this process, as the API server reaches them: each connection is a pair of pipes
//! in memory, with the node's HTTP server at the other end. The bearer token is made anew with
//! each process and never leaves it.

use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::server;
use crate::stdx::{BoxStream, NodeTransport, Shutdown};
use async_trait::async_trait;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// Bytes that wait in each direction of a connection.
const PIPE_BYTES: usize = 64 << 10;

/// The nodes of this process.
pub struct LocalNodes {
    nodes: RwLock<HashMap<String, Arc<Kubelet>>>,
    token: Arc<str>,
    shutdown: Shutdown,
}

impl LocalNodes {
    /// No nodes yet; connections end with `shutdown`.
    pub fn new(shutdown: Shutdown) -> Arc<Self> {
        let secret = (uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        Arc::new(Self {
            nodes: RwLock::default(),
            token: format!("Bearer {}{}", secret.0, secret.1).into(),
            shutdown,
        })
    }

    /// Makes a node reachable by its name.
    pub fn add(&self, kubelet: Arc<Kubelet>) {
        let name = kubelet.name().to_owned();
        self.nodes.write().insert(name, kubelet);
    }

    /// Makes a node unreachable.
    pub fn remove(&self, name: &str) -> Option<Arc<Kubelet>> {
        self.nodes.write().remove(name)
    }

    /// The nodes, in no order.
    pub fn list(&self) -> Vec<Arc<Kubelet>> {
        self.nodes.read().values().cloned().collect()
    }
}

#[async_trait]
impl NodeTransport for LocalNodes {
    async fn connect(&self, node: &str) -> io::Result<BoxStream> {
        let kubelet = self.nodes.read().get(node).cloned();
        let kubelet = kubelet.ok_or_else(|| {
            let message = format!("node {node:?} is not one of this process");
            io::Error::new(io::ErrorKind::NotFound, message)
        })?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let token = self.token.clone();
        self.shutdown
            .spawn_until_stopped(server::serve(far, kubelet, token));
        Ok(Box::new(near))
    }

    fn authorization(&self, _node: &str) -> String {
        self.token.to_string()
    }
}
