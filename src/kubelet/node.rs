//! What the workers of one node share: ways to the server and to the runtime, the network, the
//! journal, the logs, and the count of what the node's pods have asked for.

use crate::client::{Client, EventRecorder, EventType, ObjectReference};
use crate::kubelet::logs::LogStore;
use crate::kubelet::metrics::NodeMetrics;
use crate::kubelet::node_status::Capacity;
use crate::kubelet::pod_spec;
use crate::kubelet::records::Records;
use crate::kubelet::runtime::PodRuntime;
use crate::kubelet::state::Verdict;
use crate::meta::GroupVersionResource;
use crate::net::{BufferBudget, Fabric, NodeIpam};
use crate::stdx::{Clock, Shutdown};
use crate::wasm_runtime::MemoryBudget;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};

/// What a pod asks of the node: thousandths of cores and of bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    cpu: i128,
    memory: i128,
    storage: i128,
}

impl Asked {
    fn of(pod: &Pod) -> Self {
        Self {
            cpu: pod_spec::request(pod, "cpu"),
            memory: pod_spec::request(pod, "memory"),
            storage: pod_spec::request(pod, "ephemeral-storage"),
        }
    }
}

/// The pods that the node has taken, and what they ask for together.
#[derive(Default)]
pub(super) struct Admitted {
    pods: HashMap<String, Asked>,
    cpu: i128,
    memory: i128,
    storage: i128,
}

/// What the workers of a node share.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) runtime: Arc<dyn PodRuntime>,
    pub(super) fabric: Arc<Fabric>,
    pub(super) ipam: Arc<NodeIpam>,
    pub(super) host_ips: Vec<IpAddr>,
    pub(super) events: EventRecorder,
    pub(super) records: Records,
    pub(super) logs: LogStore,
    pub(super) clock: Clock,
    pub(super) capacity: Capacity,
    pub(super) allocatable: BTreeMap<String, i128>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) buffers: Arc<BufferBudget>,
    /// Pulls at once.
    pub(super) pulls: Arc<Semaphore>,
    pub(super) admitted: Mutex<Admitted>,
    pub(super) metrics: NodeMetrics,
    /// Told when the node's own status has changed.
    pub(super) status_changed: Arc<Notify>,
    pub(super) shutdown: Shutdown,
}

pub(super) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

impl Node {
    /// Takes a pod if what it asks for is left; else says why it is rejected.
    ///
    /// Kubernetes: kubelet admission, `InsufficientResourceError`.
    pub(super) fn admit(&self, pod: &Pod) -> Option<Verdict> {
        let mut admitted = self.admitted.lock();
        if admitted.pods.contains_key(pod_spec::uid(pod)) {
            return None;
        }
        let os = pod_spec::spec(pod).and_then(|spec| spec.os.as_ref());
        if os.is_some_and(|os| os.name != "linux") {
            return Some(Verdict {
                reason: "PodOSNotSupported".to_owned(),
                message: "Failed to admit pod as the OS field doesn't match node OS".to_owned(),
                grace_seconds: 0,
                disruption: String::new(),
            });
        }
        let asked = Asked::of(pod);
        let pods = admitted.pods.len() as i128 * 1_000;
        let able = |name: &str| self.allocatable.get(name).copied().unwrap_or(0);
        for (resource, wanted, used) in [
            ("pods", 1_000, pods),
            ("cpu", asked.cpu, admitted.cpu),
            ("memory", asked.memory, admitted.memory),
            ("ephemeral-storage", asked.storage, admitted.storage),
        ] {
            let capacity = able(resource);
            if wanted > 0 && wanted + used > capacity {
                return Some(rejected(resource, wanted, used, capacity));
            }
        }
        admitted.cpu += asked.cpu;
        admitted.memory += asked.memory;
        admitted.storage += asked.storage;
        admitted.pods.insert(pod_spec::uid(pod).to_owned(), asked);
        None
    }

    /// Takes what a pod asks for now instead of what it asked for before, if it is there; else the
    /// reason of its condition `PodResizePending`, and its words.
    ///
    /// Kubernetes: kubelet allocation manager, `canResizePod`.
    pub(super) fn reallocate(&self, pod: &Pod) -> Result<(), (&'static str, String)> {
        let mut admitted = self.admitted.lock();
        let uid = pod_spec::uid(pod);
        let before = admitted.pods.get(uid);
        let before = before.map_or((0, 0), |before| (before.cpu, before.memory));
        let asked = Asked::of(pod);
        let able = |name: &str| self.allocatable.get(name).copied().unwrap_or(0);
        for (resource, wanted, unit) in [("cpu", asked.cpu, 1), ("memory", asked.memory, 1_000)] {
            let capacity = able(resource);
            if wanted > capacity {
                let message = format!(
                    "Node didn't have enough capacity: {resource}, requested: {}, capacity: {}",
                    wanted / unit,
                    capacity / unit
                );
                return Err(("Infeasible", message));
            }
        }
        for (resource, wanted, used) in [
            ("cpu", asked.cpu, admitted.cpu - before.0),
            ("memory", asked.memory, admitted.memory - before.1),
        ] {
            let capacity = able(resource);
            if wanted > 0 && wanted + used > capacity {
                return Err(("Deferred", short_of(resource, wanted, used, capacity)));
            }
        }
        admitted.cpu += asked.cpu - before.0;
        admitted.memory += asked.memory - before.1;
        admitted.pods.insert(uid.to_owned(), asked);
        Ok(())
    }

    /// Gives back what a pod had asked for.
    pub(super) fn release(&self, uid: &str) {
        let mut admitted = self.admitted.lock();
        if let Some(asked) = admitted.pods.remove(uid) {
            admitted.cpu -= asked.cpu;
            admitted.memory -= asked.memory;
            admitted.storage -= asked.storage;
        }
    }

    /// Records an Event about a pod, or about one of its containers.
    pub(super) fn event(
        &self,
        pod: &Pod,
        container: &str,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let about = ObjectReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: pod_spec::namespace(pod).to_owned(),
            name: pod_spec::name(pod).to_owned(),
            uid: pod_spec::uid(pod).to_owned(),
            resource_version: String::new(),
            field_path: if container.is_empty() {
                String::new()
            } else {
                pod_spec::field_path(pod, container)
            },
        };
        self.events.event(&about, kind, reason, message);
    }
}

/// Kubernetes: `InsufficientResourceError`.
fn short_of(resource: &str, wanted: i128, used: i128, capacity: i128) -> String {
    // Kubernetes counts cores in thousandths and all else in whole units.
    let unit = if resource == "cpu" { 1 } else { 1_000 };
    format!(
        "Node didn't have enough resource: {resource}, requested: {}, used: {}, capacity: {}",
        wanted / unit,
        used / unit,
        capacity / unit
    )
}

fn rejected(resource: &str, wanted: i128, used: i128, capacity: i128) -> Verdict {
    let why = short_of(resource, wanted, used, capacity);
    let message = format!("Pod was rejected: {why}");
    Verdict {
        reason: format!("OutOf{resource}"),
        message,
        grace_seconds: 0,
        disruption: String::new(),
    }
}
