//! The node's own object: made when the node starts, its status written when it changed and every
//! five minutes otherwise. Wakes when something changed; asks nothing in between.
//!
//! Kubernetes: kubelet `nodestatus` setters and their words, nodeStatusReportFrequency.

use crate::client::{Client, ClientError, EventRecorder, EventType, ObjectReference, PatchKind};
use crate::kubelet::node::Node;
use crate::kubelet::runtime::PodRuntime;
use crate::meta::GroupVersionResource;
use crate::stdx::{Backoff, Clock, Digest, Shutdown};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often the status is written when nothing changed. Kubernetes: nodeStatusReportFrequency.
const REPORT_EVERY: Duration = Duration::from_secs(300);
/// When images are first told: they need not be counted while the node starts.
const FIRST_IMAGES: Duration = Duration::from_secs(10);
/// Images that a node tells. Kubernetes: nodeStatusMaxImages.
const IMAGES_MAX: usize = 50;
/// The first wait before a failed write is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
/// The longest wait. Kubernetes: the kubelet waits up to 7 s between tries to register.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(7);
/// The version that clients see.
pub const KUBELET_VERSION: &str = "v1.36.2+wkube";

/// What a node can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk.
    pub storage_bytes: u64,
    /// Pods at once.
    pub pods: u32,
}

/// What is fixed about a node.
#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    /// Name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The ranges of its pods' addresses.
    pub pod_cidrs: Vec<String>,
    /// What it can give.
    pub capacity: Capacity,
    /// Labels besides those that every node has.
    pub labels: BTreeMap<String, String>,
    /// `status.nodeInfo.containerRuntimeVersion`.
    pub runtime_version: String,
}

/// What changes about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pressure {
    memory: bool,
}

/// Writes the node's object. One per node.
pub(super) struct NodeReporter {
    client: Client,
    facts: NodeFacts,
    clock: Clock,
    pressure: Mutex<Pressure>,
    since: Mutex<BTreeMap<&'static str, (bool, Timestamp)>>,
    changed: Arc<Notify>,
    runtime: Arc<dyn PodRuntime>,
    events: EventRecorder,
}

fn nodes() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "nodes")
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl NodeReporter {
    /// A reporter that has not written yet.
    pub(super) fn new(client: Client, facts: NodeFacts, clock: Clock, node: &Node) -> Self {
        Self {
            client,
            facts,
            clock,
            pressure: Mutex::default(),
            since: Mutex::default(),
            changed: node.status_changed.clone(),
            runtime: node.runtime.clone(),
            events: node.events.clone(),
        }
    }

    /// Whether the node is near the end of its memory; written if it is new.
    pub(super) fn set_memory_pressure(&self, pressed: bool) {
        let mut pressure = self.pressure.lock();
        if pressure.memory != pressed {
            pressure.memory = pressed;
            self.changed.notify_one();
            let (reason, name) = match pressed {
                true => ("NodeHasInsufficientMemory", &self.facts.name),
                false => ("NodeHasSufficientMemory", &self.facts.name),
            };
            let message = format!("Node {name} status is now: {reason}");
            self.event(EventType::Normal, reason, &message);
        }
    }

    /// An Event about the node itself.
    pub(super) fn event(&self, kind: EventType, reason: &str, message: &str) {
        let about = ObjectReference {
            kind: "Node".to_owned(),
            name: self.facts.name.clone(),
            // Kubernetes: the kubelet names its node by its name here as well.
            uid: self.facts.name.clone(),
            ..ObjectReference::default()
        };
        self.events.event(&about, kind, reason, message);
    }

    /// Makes the node's object, or takes over the one that is there. Tries until it is done.
    pub(super) async fn register(&self) {
        let mut backoff = backoff();
        loop {
            match self.try_register().await {
                Ok(()) => return,
                Err(error) => {
                    let node = &self.facts.name;
                    tracing::warn!(%node, %error, "the node could not be registered, trying again");
                    let delay = backoff.failed(self.clock.instant());
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    async fn try_register(&self) -> Result<(), ClientError> {
        let created = self
            .client
            .create::<Value>(&nodes(), "", None, &self.object())
            .await;
        match created {
            Ok(node) => {
                if node.pointer("/status/conditions").is_none() {
                    self.write_status(None).await?;
                }
                Ok(())
            }
            Err(error) if error.is_already_exists() => {
                let patch = json!({"metadata": {"labels": self.labels()}});
                let at = ("", self.facts.name.as_str());
                self.client
                    .patch::<IgnoredAny>(&nodes(), at, "", PatchKind::Merge, &patch)
                    .await?;
                self.write_status(None).await
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the status when it changed, and every five minutes, until `shutdown`.
    pub(super) async fn run(&self, shutdown: Shutdown) {
        let mut backoff = backoff();
        let mut wait = FIRST_IMAGES;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.clock.sleep(wait) => {}
                () = shutdown.stopped() => return,
            }
            let written = match self.report().await {
                // Somebody deleted the node's object while the node lives.
                Err(error) if error.is_not_found() => self.try_register().await,
                other => other,
            };
            match written {
                Ok(()) => {
                    backoff.reset();
                    wait = REPORT_EVERY;
                }
                Err(error) => {
                    let node = &self.facts.name;
                    tracing::warn!(%node, %error, "the node's status was not written");
                    wait = backoff.failed(self.clock.instant());
                }
            }
        }
    }

    /// The largest images, as many as a node tells. Kubernetes: nodeStatusMaxImages.
    async fn images(&self) -> Vec<Value> {
        let runtime = self.runtime.clone();
        let listed = tokio::task::spawn_blocking(move || runtime.images()).await;
        let mut images = listed.unwrap_or_default();
        images.sort_by_key(|image| std::cmp::Reverse(image.size_bytes));
        images.truncate(IMAGES_MAX);
        let images = images.into_iter();
        let images =
            images.map(|image| json!({"names": image.names, "sizeBytes": image.size_bytes}));
        images.collect()
    }

    async fn report(&self) -> Result<(), ClientError> {
        let images = self.images().await;
        self.write_status(Some(images)).await
    }

    async fn write_status(&self, images: Option<Vec<Value>>) -> Result<(), ClientError> {
        let mut status = self.status();
        if let (Some(images), Some(status)) = (images, status.as_object_mut()) {
            status.insert("images".to_owned(), json!(images));
        }
        // Kubernetes: the merge key of addresses is their type, of which a node with two families
        // has two, so the list is replaced whole (nodeutil `fixupPatchForNodeStatusAddresses`).
        if let Some(Value::Array(addresses)) = status.get_mut("addresses") {
            addresses.push(json!({"$patch": "replace"}));
        }
        let patch = json!({ "status": status });
        let at = ("", self.facts.name.as_str());
        self.client
            .patch::<IgnoredAny>(&nodes(), at, "status", PatchKind::Strategic, &patch)
            .await
            .map(|_| ())
    }

    fn object(&self) -> Value {
        let mut spec = json!({});
        if let (Some(first), Some(spec)) = (self.facts.pod_cidrs.first(), spec.as_object_mut()) {
            spec.insert("podCIDR".to_owned(), json!(first));
            spec.insert("podCIDRs".to_owned(), json!(self.facts.pod_cidrs));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.facts.name, "labels": self.labels()},
            "spec": spec,
            "status": self.status(),
        })
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.facts.labels.clone();
        let arch = architecture();
        for (key, value) in [
            ("kubernetes.io/hostname", self.facts.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", arch),
            ("wkube.io/runtime", "wasm"),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    fn status(&self) -> Value {
        let facts = &self.facts;
        let resources = json!({
            "cpu": cpu(facts.capacity.cpu_millis),
            "memory": memory(facts.capacity.memory_bytes),
            "ephemeral-storage": memory(facts.capacity.storage_bytes),
            "pods": facts.capacity.pods.to_string(),
        });
        let addresses = facts
            .addresses
            .iter()
            .map(|ip| json!({"type": "InternalIP", "address": ip.to_string()}));
        let mut addresses: Vec<Value> = addresses.collect();
        addresses.push(json!({"type": "Hostname", "address": facts.name}));
        let machine = Digest::of(facts.name.as_bytes()).hex();
        let machine = machine.get(..32).unwrap_or_default();
        let kernel = rustix::system::uname();
        json!({
            "capacity": resources,
            "allocatable": resources,
            "conditions": self.conditions(),
            "addresses": addresses,
            "nodeInfo": {
                "machineID": machine,
                "systemUUID": machine,
                "bootID": machine,
                "kernelVersion": kernel.release().to_string_lossy(),
                "osImage": "wkube (WebAssembly)",
                "containerRuntimeVersion": facts.runtime_version,
                "kubeletVersion": KUBELET_VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": architecture(),
            },
        })
    }

    fn conditions(&self) -> Vec<Value> {
        let now = self.clock.now();
        let pressure = self.pressure.lock().clone();
        let memory = if pressure.memory {
            (
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            )
        } else {
            (
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            )
        };
        let disk = ("KubeletHasNoDiskPressure", "kubelet has no disk pressure");
        let pid = (
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        );
        let ready = ("KubeletReady", "kubelet is posting ready status");
        let mut since = self.since.lock();
        [
            ("MemoryPressure", pressure.memory, memory),
            ("DiskPressure", false, disk),
            ("PIDPressure", false, pid),
            ("Ready", true, ready),
        ]
        .into_iter()
        .map(|(kind, status, (reason, message))| {
            let known = since.entry(kind).or_insert((status, now));
            if known.0 != status {
                *known = (status, now);
            }
            json!({
                "type": kind,
                "status": if status { "True" } else { "False" },
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": time(now),
                "lastTransitionTime": time(known.1),
            })
        })
        .collect()
    }
}

fn backoff() -> Backoff {
    let reset = RETRY_DELAY_MAX.saturating_mul(2);
    Backoff::new(RETRY_DELAY_MIN, RETRY_DELAY_MAX, reset)
}

fn cpu(millis: u64) -> String {
    if millis.is_multiple_of(1_000) {
        (millis / 1_000).to_string()
    } else {
        format!("{millis}m")
    }
}

fn memory(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 10) {
        format!("{}Ki", bytes >> 10)
    } else {
        bytes.to_string()
    }
}

/// Go's name of the machine's architecture: manifests that ask for one mean the machine's, and
/// wasm runs on any.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
