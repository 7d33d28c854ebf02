//! One node: registers, holds its lease, follows the pods that are bound to it, and hands each to
//! a worker. Nothing here polls: a pod comes by the watch, all else by what happens.

use crate::client::{Change, Client, EventRecorder, Informer, InformerConfig};
use crate::kubelet::eviction;
use crate::kubelet::lease;
use crate::kubelet::logs::{LogLimits, LogStore};
use crate::kubelet::metrics::KubeletMetrics;
use crate::kubelet::node::{Node, pods};
use crate::kubelet::node_status::{Capacity, NodeFacts, NodeReporter};
use crate::kubelet::pod_spec;
use crate::kubelet::pod_workers::{PodEntry, PodWorkers};
use crate::kubelet::records::{PodRecord, Records};
use crate::kubelet::runtime::PodRuntime;
use crate::kubelet::state::PodState;
use crate::meta::ObjectKey;
use crate::net::{BufferBudget, Fabric, NodeIpam};
use crate::stdx::{Clock, Shutdown};
use crate::wasm_runtime::MemoryBudget;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Pulls of one node at once. Kubernetes: maxParallelImagePulls, where pulls are parallel.
const PULLS_MAX: usize = 5;

/// What a node is made of.
pub struct KubeletConfig {
    /// Its name.
    pub node_name: String,
    /// The way to the server, as `system:node:<name>`.
    pub client: Client,
    /// What runs its containers; shared by all nodes of the process.
    pub runtime: Arc<dyn PodRuntime>,
    /// The network; shared by all nodes of the process.
    pub fabric: Arc<Fabric>,
    /// The addresses of its pods.
    pub ipam: Arc<NodeIpam>,
    /// Its own addresses; empty for the first ones of its range.
    pub addresses: Vec<IpAddr>,
    /// The server's folder, of which the node uses `nodes/<name>`; `None` keeps everything in
    /// memory.
    pub data_dir: Option<PathBuf>,
    /// The clock.
    pub clock: Clock,
    /// What it can give.
    pub capacity: Capacity,
    /// Labels besides those that every node has.
    pub labels: BTreeMap<String, String>,
    /// When it stops.
    pub shutdown: Shutdown,
    /// The figures of all nodes of the process.
    pub metrics: Arc<KubeletMetrics>,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// Its folder cannot be used.
    #[error("node {node}: {path}: {source}")]
    Folder {
        /// The node.
        node: String,
        /// Its folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It was told to stop before it had started.
    #[error("node {0}: stopped before it was ready")]
    Stopped(String),
}

/// A running node.
pub struct Kubelet {
    node: Arc<Node>,
    workers: Arc<PodWorkers>,
    pods: Informer<Pod>,
    reporter: Arc<NodeReporter>,
}

impl Kubelet {
    /// Starts a node. Returns when it is registered and follows its pods: one that is bound to it
    /// from then on runs. A server that cannot be reached yet is waited for.
    pub async fn start(config: KubeletConfig) -> Result<Arc<Self>, KubeletError> {
        let folder = config
            .data_dir
            .as_ref()
            .map(|dir| dir.join("nodes").join(&config.node_name));
        let unusable = |source| KubeletError::Folder {
            node: config.node_name.clone(),
            path: folder
                .as_ref()
                .map(|f| f.display().to_string())
                .unwrap_or_default(),
            source,
        };
        // The journal outlives the workers: what they still give in is kept.
        let journal = Shutdown::new();
        let (records, known) = Records::open(folder.as_deref(), &journal).map_err(unusable)?;
        let logs = folder.as_ref().map(|folder| folder.join("logs"));
        let logs = LogStore::open(logs.as_deref(), LogLimits::default(), config.clock.clone());
        let logs = logs.map_err(unusable)?;
        keep_addresses(&config.ipam, &known);
        config.fabric.add_node(&config.ipam);
        let host_ips = if config.addresses.is_empty() {
            config.ipam.node_addresses()
        } else {
            config.addresses.clone()
        };
        let node = Arc::new(make_node(&config, records, logs, host_ips));
        let reporter = Arc::new(NodeReporter::new(
            config.client.clone(),
            facts(&config, &node),
            config.clock.clone(),
            &node,
        ));
        tokio::select! {
            () = reporter.register() => {
                let (client, clock) = (config.client.clone(), config.clock.clone());
                let name = config.node_name.clone();
                let hold = lease::hold(client, name, clock);
                config.shutdown.spawn_until_stopped(hold);
            }
            () = config.shutdown.stopped() => {
                return Err(KubeletError::Stopped(config.node_name));
            }
        }
        let workers = PodWorkers::new(node.clone());
        let pods = follow(&config, node.clone(), workers.clone(), known);
        let kubelet = Arc::new(Self {
            node,
            workers,
            pods,
            reporter,
        });
        kubelet.spawn_tasks(&config.shutdown, journal);
        if !kubelet.pods.synced().await {
            return Err(KubeletError::Stopped(config.node_name));
        }
        Ok(kubelet)
    }

    fn spawn_tasks(self: &Arc<Self>, shutdown: &Shutdown, journal: Shutdown) {
        let reporter = self.reporter.clone();
        let stop = shutdown.clone();
        shutdown.spawn(async move { reporter.run(stop).await });
        let evictor = eviction::run(self.clone(), self.reporter.clone());
        shutdown.spawn_until_stopped(evictor);
        let stop = shutdown.clone();
        let workers = self.node.shutdown.clone();
        shutdown.spawn(async move {
            stop.stopped().await;
            workers.drained().await;
            journal.stop();
            journal.drained().await;
        });
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// How many pods it looks after.
    pub fn pod_count(&self) -> usize {
        self.workers.list().len()
    }

    /// The pod of that name, as the server shows it, and what the node knows of it.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<(Arc<Pod>, Arc<PodEntry>)> {
        let pod = self.pods.get(&ObjectKey::new(namespace, name))?;
        let entry = self.workers.get(pod_spec::uid(&pod))?;
        Some((pod, entry))
    }

    /// The pod with that uid.
    pub(super) fn entry(&self, uid: &str) -> Option<Arc<PodEntry>> {
        self.workers.get(uid)
    }

    /// All pods of the node.
    pub(super) fn entries(&self) -> Vec<Arc<PodEntry>> {
        self.workers.list()
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

/// Addresses that pods had before are theirs, before any other pod gets one.
fn keep_addresses(ipam: &NodeIpam, known: &HashMap<String, PodRecord>) {
    for (uid, record) in known {
        let state = record.state.as_ref().filter(|state| !state.released);
        let Some(ip) = state.and_then(|state| state.addresses.first()) else {
            continue;
        };
        if let Err(error) = ipam.reserve(uid, *ip) {
            let pod = format!("{}/{}", record.namespace, record.name);
            tracing::warn!(%pod, %ip, %error, "a pod cannot keep its address");
        }
    }
}

fn make_node(
    config: &KubeletConfig,
    records: Records,
    logs: LogStore,
    host_ips: Vec<IpAddr>,
) -> Node {
    let events = EventRecorder::start(
        config.client.clone(),
        "kubelet",
        &config.node_name,
        config.clock.clone(),
        &config.shutdown,
    );
    let capacity = config.capacity;
    let milli = |amount: u64| i128::from(amount) * 1_000;
    let allocatable = BTreeMap::from([
        ("cpu".to_owned(), i128::from(capacity.cpu_millis)),
        ("memory".to_owned(), milli(capacity.memory_bytes)),
        (
            "ephemeral-storage".to_owned(),
            milli(capacity.storage_bytes),
        ),
        ("pods".to_owned(), milli(u64::from(capacity.pods))),
    ]);
    let buffers = usize::try_from(capacity.memory_bytes).unwrap_or(usize::MAX);
    Node {
        name: config.node_name.clone(),
        client: config.client.clone(),
        runtime: config.runtime.clone(),
        fabric: config.fabric.clone(),
        ipam: config.ipam.clone(),
        host_ips,
        events,
        records,
        logs,
        clock: config.clock.clone(),
        capacity,
        allocatable,
        budget: MemoryBudget::new(capacity.memory_bytes),
        buffers: BufferBudget::new(buffers),
        pulls: Arc::new(Semaphore::new(PULLS_MAX)),
        admitted: Mutex::default(),
        metrics: config.metrics.of(&config.node_name),
        status_changed: Arc::default(),
        shutdown: config.shutdown.child(),
    }
}

fn facts(config: &KubeletConfig, node: &Node) -> NodeFacts {
    NodeFacts {
        name: config.node_name.clone(),
        addresses: node.host_ips.clone(),
        pod_cidrs: config
            .ipam
            .cidrs()
            .iter()
            .map(ToString::to_string)
            .collect(),
        capacity: config.capacity,
        labels: config.labels.clone(),
        runtime_version: config.runtime.version(),
    }
}

/// Follows the pods that are bound to the node.
fn follow(
    config: &KubeletConfig,
    node: Arc<Node>,
    workers: Arc<PodWorkers>,
    mut known: HashMap<String, PodRecord>,
) -> Informer<Pod> {
    let of = InformerConfig {
        field_selector: format!("spec.nodeName={}", config.node_name),
        ..InformerConfig::all(pods())
    };
    let clock = config.clock.clone();
    let on_change = move |change: Change<Pod>| match change {
        Change::Applied(pod, before) => {
            let uid = pod_spec::uid(&pod);
            // A pod of the same name in the place of another: the other is gone.
            if let Some(before) = before.filter(|before| pod_spec::uid(before) != uid) {
                workers.removed(pod_spec::uid(&before));
            }
            let record = known.remove(uid).and_then(|record| record.state);
            workers.applied(&pod, || {
                let now = clock.now();
                Some(match record {
                    Some(state) => state.recovered(&pod, now),
                    None => PodState::from_status(&pod, now),
                })
            });
        }
        Change::Deleted(pod) => workers.removed(pod_spec::uid(&pod)),
        Change::Synced => forget_gone(&node, &workers, std::mem::take(&mut known)),
    };
    Informer::start(
        config.client.clone(),
        of,
        config.clock.clone(),
        &config.shutdown,
        on_change,
    )
}

/// Pods that were deleted while the node was away: their records, addresses and logs go.
fn forget_gone(node: &Arc<Node>, workers: &PodWorkers, gone: HashMap<String, PodRecord>) {
    for (uid, record) in gone {
        node.ipam.release(&uid);
        let record = PodRecord {
            state: None,
            ..record
        };
        if let Err(error) = node.records.put(&record) {
            tracing::warn!(%error, "a pod's record was not removed");
        }
    }
    let alive = |uid: &str| workers.get(uid).is_some();
    if let Err(error) = node.logs.remove_orphans(alive) {
        tracing::warn!(%error, "logs of pods that are gone could not be removed");
    }
}
