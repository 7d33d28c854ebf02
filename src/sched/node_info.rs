//! A node as the scheduler sees it: what it offers, and what the pods on it have taken; and a pod
//! with all that is computed of it once. Must not know plugins.

use crate::client::HasMeta;
use crate::meta::ObjectKey;
use crate::sched::amounts::{Amounts, pod_requests, pod_requests_nonzero};
use crate::sched::terms::{Labels, Spread, Terms};
use crate::sched::view::{NodeView, PodView};
use std::collections::HashMap;
use std::fmt::Write as _;
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
    pub(crate) terms: Terms,
    pub(crate) spread: Vec<Spread>,
    /// Whether `spread` is not the pod's own, but what is so by default.
    pub(crate) spread_by_default: bool,
    /// What of it concerns where other pods go: pods of one class are all alike in that.
    pub(crate) class: Box<str>,
}

impl PodInfo {
    pub(crate) fn new(pod: Arc<PodView>) -> Self {
        let spec = &pod.spec;
        let terms = Terms::new(&pod);
        let spread = spec.topology_spread_constraints.iter();
        Self {
            requests: pod_requests(spec),
            requests_nonzero: pod_requests_nonzero(spec),
            host_ports: host_ports(&pod),
            class: class_of(&pod, &terms),
            spread: spread.map(|view| Spread::new(view, &pod)).collect(),
            spread_by_default: false,
            terms,
            pod,
        }
    }

    pub(crate) fn key(&self) -> ObjectKey {
        self.pod.key()
    }

    pub(crate) fn priority(&self) -> i32 {
        self.pod.spec.priority
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.pod.metadata.own.namespace
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.pod.metadata.labels
    }

    /// Whether it asks for something else than before: what its status says is nothing of that.
    pub(crate) fn asks_other(&self, before: &Self) -> bool {
        let (own, other) = (&self.pod.spec, &before.pod.spec);
        self.class != before.class
            || self.requests != before.requests
            || own.tolerations != other.tolerations
            || own.node_selector != other.node_selector
            || own.affinity.node_affinity != other.affinity.node_affinity
    }

    pub(crate) fn deleting(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
}

fn host_ports(pod: &PodView) -> Vec<HostPort> {
    let spec = &pod.spec;
    let mut host_ports = Vec::new();
    // Init containers that stay hold their ports, too.
    let staying = spec.init_containers.iter();
    let staying = staying.filter(|own| own.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(staying);
    for port in ports.flat_map(|container| &container.ports) {
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
    host_ports
}

fn class_of(pod: &PodView, terms: &Terms) -> Box<str> {
    let mut text = pod.metadata.own.namespace.clone();
    for (key, value) in &pod.metadata.labels {
        let _ = write!(text, ",{key}={value}");
    }
    if pod.metadata.deletion_timestamp.is_some() {
        text.push_str(";going");
    }
    if !terms.is_empty() {
        let affinity = &pod.spec.affinity;
        let _ = write!(
            text,
            ";{:?}{:?}",
            affinity.pod_affinity, affinity.pod_anti_affinity
        );
    }
    text.into()
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
    /// The images that are there, with their sizes in bytes.
    pub(crate) images: HashMap<String, i64>,
}

static NO_LABELS: Labels = Labels::new();

impl NodeInfo {
    pub(crate) fn set_node(&mut self, node: Arc<NodeView>) {
        self.allocatable = Amounts::read(&node.status.allocatable);
        self.pods_max = self.allocatable.others.get("pods").copied().unwrap_or(0);
        let images = node.status.images.iter();
        self.images = images
            .flat_map(|image| {
                image
                    .names
                    .iter()
                    .map(|name| (name.clone(), image.size_bytes))
            })
            .collect();
        self.node = Some(node);
    }

    pub(crate) fn name(&self) -> &str {
        self.node
            .as_ref()
            .map_or("", |node| &node.metadata.own.name)
    }

    pub(crate) fn labels(&self) -> &Labels {
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

    pub(crate) fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
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
        Some(pod)
    }
}
