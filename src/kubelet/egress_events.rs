//! A refused way out of the cluster as an Event of the pod that tried it, recorded by the pod's
//! node. The network tells it at most once a minute a pod. Must not know rules.

use crate::client::EventType;
use crate::kubelet::local_nodes::LocalNodes;
use crate::net::{NetEvents, PodIdentity};
use std::sync::{Arc, Weak};

/// Hands the network's refusals to the nodes whose pods were refused.
pub struct EgressEvents {
    nodes: Weak<LocalNodes>,
}

impl EgressEvents {
    /// For pods of `nodes`.
    pub fn new(nodes: &Arc<LocalNodes>) -> Arc<Self> {
        Arc::new(Self {
            nodes: Arc::downgrade(nodes),
        })
    }
}

impl NetEvents for EgressEvents {
    fn egress_denied(&self, pod: &PodIdentity, destination: &str, rule: &str) {
        let nodes = self.nodes.upgrade().map(|nodes| nodes.list());
        let found = nodes.into_iter().flatten().find_map(|kubelet| {
            let entry = kubelet.entry(&pod.id)?;
            Some((kubelet, entry))
        });
        // A pod that is gone has nobody to tell.
        let Some((kubelet, entry)) = found else {
            return;
        };
        let message = format!("Connection to {destination} refused: {rule}");
        let kind = EventType::Warning;
        let node = kubelet.node();
        node.event(&entry.pod(), "", kind, "EgressDenied", message);
    }
}
