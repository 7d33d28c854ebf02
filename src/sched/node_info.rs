//! A node as the scheduler sees it: what it offers, and what the pods on it have taken. Must not
//! know plugins.

use crate::meta::ObjectKey;
use crate::sched::amounts::{Amounts, pod_requests, pod_requests_nonzero};
use crate::sched::view::{NodeView, PodView};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A port of the host that a pod takes. The empty address means all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    pub(crate) address: String,
    pub(crate) protocol: String,
    pub(crate) port: u16,
}

impl HostPort {
    /// Whether both cannot be had at once.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        let wild = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
        self.port == other.port
            && self.protocol == other.protocol
            && (wild(&self.address) || wild(&other.address) || self.address == other.address)
    }
}

/// A pod with all that is computed of it once.
#[derive(Clone, Debug)]
pub(crate) struct PodInfo {
    pub(crate) pod: Arc<PodView>,
    pub(crate) requests: Amounts,
    pub(crate) requests_nonzero: Amounts,
    pub(crate) host_ports: Vec<HostPort>,
}

impl PodInfo {
    pub(crate) fn new(pod: Arc<PodView>) -> Self {
        let spec = &pod.spec;
        let mut host_ports = Vec::new();
        for port in spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
        {
            let number = match (port.host_port, spec.host_network) {
                (0, true) => port.container_port,
                (number, _) => number,
            };
            if number != 0 {
                let protocol = if port.protocol.is_empty() {
                    "TCP"
                } else {
                    &port.protocol
                };
                host_ports.push(HostPort {
                    address: port.host_ip.clone(),
                    protocol: protocol.to_owned(),
                    port: number,
                });
            }
        }
        let (requests, requests_nonzero) = (pod_requests(spec), pod_requests_nonzero(spec));
        Self {
            pod,
            requests,
            requests_nonzero,
            host_ports,
        }
    }
}

/// A node and what is taken of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeInfo {
    /// `None` while pods are known that name a node which is not.
    pub(crate) node: Option<Arc<NodeView>>,
    pub(crate) allocatable: Amounts,
    pub(crate) pods_max: i64,
    pub(crate) requested: Amounts,
    pub(crate) requested_nonzero: Amounts,
    pub(crate) pods: HashMap<ObjectKey, Arc<PodInfo>>,
    /// Taken ports of the host, each with how many pods take it.
    pub(crate) host_ports: HashMap<HostPort, usize>,
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl NodeInfo {
    pub(crate) fn set_node(&mut self, node: Arc<NodeView>) {
        self.allocatable = Amounts::read(&node.status.allocatable);
        self.pods_max = self.allocatable.others.get("pods").copied().unwrap_or(0);
        self.node = Some(node);
    }

    pub(crate) fn name(&self) -> &str {
        self.node
            .as_ref()
            .map_or("", |node| &node.metadata.own.name)
    }

    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        self.node
            .as_ref()
            .map_or(&NO_LABELS, |node| &node.metadata.labels)
    }

    pub(crate) fn add_pod(&mut self, key: ObjectKey, pod: Arc<PodInfo>) {
        self.remove_pod(&key);
        self.requested.add(&pod.requests);
        self.requested_nonzero.add(&pod.requests_nonzero);
        for port in &pod.host_ports {
            *self.host_ports.entry(port.clone()).or_default() += 1;
        }
        self.pods.insert(key, pod);
    }

    pub(crate) fn remove_pod(&mut self, key: &ObjectKey) -> bool {
        let Some(pod) = self.pods.remove(key) else {
            return false;
        };
        self.requested.subtract(&pod.requests);
        self.requested_nonzero.subtract(&pod.requests_nonzero);
        for port in &pod.host_ports {
            if let Some(count) = self.host_ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.host_ports.remove(port);
                }
            }
        }
        true
    }
}
