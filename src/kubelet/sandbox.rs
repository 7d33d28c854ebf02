//! What the containers of a pod share: its address and its network. Made
//! before the first container, let go after the last.

use crate::kubelet::node::Node;
use crate::kubelet::pod_spec;
use crate::net::{PodNet, PodNetConfig};
use k8s_openapi::api::core::v1::Pod;
use std::net::IpAddr;
use std::sync::Arc;

/// A pod's network.
pub(super) struct SandboxParts {
    pub(super) net: Arc<PodNet>,
}

/// Makes a pod's network. `wanted` are the addresses that it had before the process began.
pub(super) fn prepare(node: &Node, pod: &Pod, wanted: &[IpAddr]) -> Result<SandboxParts, String> {
    let uid = pod_spec::uid(pod);
    let kept = wanted
        .first()
        .and_then(|ip| node.ipam.reserve(uid, *ip).ok());
    let addresses = match kept {
        Some(addresses) => addresses,
        None => node.ipam.allocate(uid).map_err(|error| error.to_string())?,
    };
    let config = PodNetConfig {
        id: uid.to_owned(),
        name: format!("{}/{}", pod_spec::namespace(pod), pod_spec::name(pod)),
        addresses,
        buffers: node.buffers.clone(),
    };
    let net = node
        .fabric
        .add_pod(config)
        .map_err(|error| error.to_string())?;
    Ok(SandboxParts { net })
}

/// Lets everything of a pod's network go.
pub(super) fn release(node: &Node, uid: &str) {
    node.fabric.remove_pod(uid);
    node.ipam.release(uid);
}
