//! What the containers of a pod share: its address, its network, its doors on the host. Made
//! before the first container, let go after the last.

use crate::kubelet::node::Node;
use crate::kubelet::pod_spec;
use crate::net::{HostPort, HostPorts, PodNet, PodNetConfig, Protocol};
use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A pod's network, and its doors, which close when they are dropped.
pub(super) struct SandboxParts {
    pub(super) net: Arc<PodNet>,
    _ports: Vec<HostPort>,
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = (&ContainerPort, u16)> {
    pod_spec::all_containers(pod)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let host_port = u16::try_from(port.host_port?).ok()?;
            (host_port != 0).then_some((port, host_port))
        })
}

/// Whether the pod wants doors on the host.
pub(super) fn has_host_ports(pod: &Pod) -> bool {
    host_ports(pod).next().is_some()
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
    Ok(SandboxParts {
        net,
        _ports: Vec::new(),
    })
}

/// The addresses of the host at which a port is to be open, each with the pod's address behind it.
/// Without a `hostIP` those are all of the host's, of each family that the pod has.
fn doors(pod: &[IpAddr], host_ip: &str) -> Result<Vec<(IpAddr, IpAddr)>, String> {
    let of_family = |v4: bool| pod.iter().copied().find(|ip| ip.is_ipv4() == v4);
    let first = || pod.first().copied().ok_or("the pod has no address");
    if !host_ip.is_empty() {
        let host: IpAddr = host_ip
            .parse()
            .map_err(|_| format!("hostIP {host_ip:?} is not an address"))?;
        let behind = of_family(host.is_ipv4()).map_or_else(first, Ok)?;
        return Ok(vec![(host, behind)]);
    }
    let v4 = of_family(true).map_or_else(first, Ok)?;
    let mut all = vec![(Ipv4Addr::UNSPECIFIED.into(), v4)];
    if let Some(v6) = of_family(false) {
        all.push((Ipv6Addr::UNSPECIFIED.into(), v6));
    }
    Ok(all)
}

/// Opens the pod's doors on the host; all or none.
pub(super) async fn open_host_ports(
    node: &Node,
    pod: &Pod,
    mut parts: SandboxParts,
) -> Result<SandboxParts, String> {
    let mut ports = Vec::new();
    for (port, host_port) in host_ports(pod) {
        let host_ip = port.host_ip.as_deref().unwrap_or_default();
        let protocol = match port.protocol.as_deref().unwrap_or("TCP") {
            "UDP" => Protocol::Udp,
            "TCP" => Protocol::Tcp,
            other => return Err(format!("hostPort with protocol {other} is not supported")),
        };
        let inside = u16::try_from(port.container_port)
            .map_err(|_| format!("containerPort {} is not a port", port.container_port))?;
        for (host, behind) in doors(parts.net.addresses(), host_ip)? {
            let fabric = &node.fabric;
            match HostPorts::bind(fabric, host, host_port, protocol, behind, inside).await {
                Ok(door) => ports.push(door),
                // A host without IPv6 has no clients of it either.
                Err(error)
                    if host.is_ipv6()
                        && host_ip.is_empty()
                        && error.kind() != std::io::ErrorKind::AddrInUse =>
                {
                    tracing::debug!(%error, "no host port for IPv6");
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    parts._ports = ports;
    Ok(parts)
}

/// Lets everything of a pod's network go.
pub(super) fn release(node: &Node, uid: &str) {
    node.fabric.remove_pod(uid);
    node.ipam.release(uid);
}
