//! The figures of nodes, with Kubernetes' names: of all nodes of the process with a label `node`,
//! and of one node as its own `/metrics` tells them. Must not know what a pod is for.
//! Kubernetes: `pkg/kubelet/metrics`.

use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::local_nodes::LocalNodes;
use crate::kubelet::probes::{Kind, Outcome};
use crate::stdx::{Labels, Metrics, Samples};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;

/// Upper bounds of pod start durations, in seconds: Kubernetes' own, and finer ones below, as a
/// sandbox starts in far less.
const START_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 900.0, 1_200.0,
    1_800.0, 2_700.0, 3_600.0,
];

/// A node's own counts.
#[derive(Clone)]
pub(super) struct NodeMetrics {
    pub(super) pod_start_seconds: Histogram,
    pub(super) started_pods: Counter,
    pub(super) started_containers: Counter,
    pub(super) start_errors: Counter,
    pub(super) evictions: Counter,
    pub(super) probes: ProbeCounts,
}

/// How often probes were answered, by their kind and the answer.
#[derive(Clone)]
pub(super) struct ProbeCounts(Family<ProbeLabels, Counter>, String);

impl ProbeCounts {
    /// Counts an answer. Kubernetes: `prober_probe_total`.
    pub(super) fn count(&self, kind: Kind, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Success | Outcome::Warning(_) => "successful",
            Outcome::Failure { .. } => "failed",
            Outcome::Error(_) => "unknown",
        };
        let labels = ProbeLabels {
            node: self.1.clone(),
            probe_type: kind.title(),
            result,
        };
        self.0.get_or_create(&labels).inc();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProbeLabels {
    node: String,
    probe_type: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NodeLabels {
    node: String,
}

type Durations = Family<NodeLabels, Histogram, fn() -> Histogram>;

/// The counts of all nodes of a process.
pub struct KubeletMetrics {
    pod_start_seconds: Durations,
    started_pods: Family<NodeLabels, Counter>,
    started_containers: Family<NodeLabels, Counter>,
    start_errors: Family<NodeLabels, Counter>,
    evictions: Family<NodeLabels, Counter>,
    probes: Family<ProbeLabels, Counter>,
}

const POD_START: (&str, &str) = (
    "kubelet_pod_start_duration_seconds",
    "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
);
const STARTED_PODS: (&str, &str) = ("kubelet_started_pods", "Cumulative number of pods started");
const STARTED_CONTAINERS: (&str, &str) = (
    "kubelet_started_containers",
    "Cumulative number of containers started",
);
const START_ERRORS: (&str, &str) = (
    "kubelet_started_containers_errors",
    "Cumulative number of errors when starting containers",
);
const EVICTIONS: (&str, &str) = (
    "kubelet_evictions",
    "Cumulative number of pod evictions for want of memory",
);

const PROBES: (&str, &str) = (
    "prober_probe",
    "Cumulative number of a liveness, readiness or startup probe for a container by result",
);

impl KubeletMetrics {
    /// Enters the counts of all nodes, and what `nodes` hold now.
    pub fn new(metrics: &Metrics, nodes: &Arc<LocalNodes>) -> Arc<Self> {
        for (name, help, read) in GAUGES {
            let nodes = Arc::downgrade(nodes);
            metrics.gauges(name, help, move || {
                let all = nodes.upgrade().map(|nodes| nodes.list());
                let mut all = all.unwrap_or_default();
                all.sort_by(|a, b| a.name().cmp(b.name()));
                let of = |kubelet: Arc<Kubelet>| {
                    let own = read(&kubelet).into_iter();
                    own.map(move |(mut labels, value)| {
                        labels.push(("node", kubelet.name().to_owned()));
                        (labels, value)
                    })
                };
                all.into_iter().flat_map(of).collect()
            });
        }
        let new_histogram: fn() -> Histogram = histogram;
        let counter = |(name, help): (&str, &str)| metrics.register(name, help, Family::default());
        Arc::new(Self {
            pod_start_seconds: metrics.register(
                POD_START.0,
                POD_START.1,
                Durations::new_with_constructor(new_histogram),
            ),
            started_pods: counter(STARTED_PODS),
            started_containers: counter(STARTED_CONTAINERS),
            start_errors: counter(START_ERRORS),
            evictions: counter(EVICTIONS),
            probes: metrics.register(PROBES.0, PROBES.1, Family::default()),
        })
    }

    /// The counts of one node.
    pub(super) fn of(&self, node: &str) -> NodeMetrics {
        let labels = NodeLabels {
            node: node.to_owned(),
        };
        NodeMetrics {
            pod_start_seconds: self.pod_start_seconds.get_or_create(&labels).clone(),
            started_pods: self.started_pods.get_or_create(&labels).clone(),
            started_containers: self.started_containers.get_or_create(&labels).clone(),
            start_errors: self.start_errors.get_or_create(&labels).clone(),
            evictions: self.evictions.get_or_create(&labels).clone(),
            probes: ProbeCounts(self.probes.clone(), node.to_owned()),
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(START_SECONDS.iter().copied())
}

/// The figures of one node, as its own `/metrics` tells them.
pub(super) fn of_node(kubelet: &Arc<Kubelet>) -> Metrics {
    let metrics = Metrics::default();
    for (name, help, read) in GAUGES {
        let kubelet = kubelet.clone();
        metrics.gauges(name, help, move || read(&kubelet));
    }
    let counts = &kubelet.node().metrics;
    metrics.register(POD_START.0, POD_START.1, counts.pod_start_seconds.clone());
    for ((name, help), counter) in [
        (STARTED_PODS, &counts.started_pods),
        (STARTED_CONTAINERS, &counts.started_containers),
        (START_ERRORS, &counts.start_errors),
        (EVICTIONS, &counts.evictions),
    ] {
        metrics.register(name, help, counter.clone());
    }
    metrics
}

type Gauge = (&'static str, &'static str, fn(&Kubelet) -> Samples);

/// What a node holds now.
const GAUGES: &[Gauge] = &[
    (
        "kubelet_running_pods",
        "Number of pods that have a running pod sandbox",
        |kubelet| {
            let entries = kubelet.entries();
            let running = entries.iter().filter(|e| !e.running.lock().is_empty());
            one(running.count() as f64)
        },
    ),
    (
        "kubelet_running_containers",
        "Number of containers currently running",
        |kubelet| {
            let entries = kubelet.entries();
            let running: usize = entries.iter().map(|e| e.running.lock().len()).sum();
            let labels: Labels = vec![("container_state", "running".to_owned())];
            vec![(labels, running as f64)]
        },
    ),
    (
        "wkube_node_memory_used_bytes",
        "Memory that the node's guests and what is held for them use",
        |kubelet| one(kubelet.node().budget.used() as f64),
    ),
    (
        "wkube_node_memory_limit_bytes",
        "Memory that the node may give to guests",
        |kubelet| one(kubelet.node().budget.limit() as f64),
    ),
    (
        "wkube_node_buffer_bytes",
        "Bytes that wait in the queues of the node's sockets",
        |kubelet| one(kubelet.node().buffers.used() as f64),
    ),
];

fn one(value: f64) -> Samples {
    vec![(Labels::new(), value)]
}
