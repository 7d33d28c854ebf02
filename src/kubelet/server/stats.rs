//! What the node, its pods and their containers use: `/stats/summary` in the form of Kubernetes'
//! summary API, `/metrics/resource` and `/metrics/cadvisor` in that of Prometheus, with the figures
//! that a wasm sandbox has. Processor time is what its polls took of threads, memory its linear
//! memories and tables.

use super::{Body, as_json, whole};
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::ContainerStats;
use crate::meta::time::rfc3339;
use crate::stdx::METRICS_CONTENT_TYPE;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A pod and what its containers use.
struct PodUsage {
    namespace: String,
    name: String,
    uid: String,
    started: Timestamp,
    containers: Vec<ContainerUsage>,
}

struct ContainerUsage {
    name: String,
    image: String,
    started: Timestamp,
    stats: ContainerStats,
}

impl PodUsage {
    fn sum(&self) -> ContainerStats {
        sum(self.containers.iter().map(|container| container.stats))
    }
}

fn sum(all: impl Iterator<Item = ContainerStats>) -> ContainerStats {
    all.fold(ContainerStats::default(), |sum, one| ContainerStats {
        memory_bytes: sum.memory_bytes + one.memory_bytes,
        cpu_nanos: sum.cpu_nanos + one.cpu_nanos,
    })
}

/// All pods, by namespace and name.
fn read(kubelet: &Kubelet) -> Vec<PodUsage> {
    let mut pods: Vec<PodUsage> = kubelet
        .entries()
        .iter()
        .map(|entry| {
            let pod = entry.pod();
            let status = pod.status.as_ref();
            let started = entry.state.lock().start_time;
            let lists = status.into_iter().flat_map(|status| {
                let init = status.init_container_statuses.iter().flatten();
                status.container_statuses.iter().flatten().chain(init)
            });
            let known: Vec<_> = lists.collect();
            let containers = entry.stats().into_iter().map(|(name, stats)| {
                let status = known.iter().find(|status| status.name == name);
                let running = status.and_then(|one| one.state.as_ref()?.running.as_ref());
                let since = running.and_then(|running| Some(running.started_at.as_ref()?.0));
                ContainerUsage {
                    image: status
                        .map(|status| status.image.clone())
                        .unwrap_or_default(),
                    name,
                    started: since.unwrap_or(started),
                    stats,
                }
            });
            PodUsage {
                namespace: pod_spec::namespace(&pod).to_owned(),
                name: pod_spec::name(&pod).to_owned(),
                uid: pod_spec::uid(&pod).to_owned(),
                started,
                containers: containers.collect(),
            }
        })
        .collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    pods
}

/// Bytes that the node's guests use, and that are left for them.
fn memory_of(kubelet: &Kubelet) -> (u64, u64) {
    let budget = &kubelet.node().budget;
    let used = budget.used();
    (used, budget.limit().saturating_sub(used))
}

pub(super) fn summary(kubelet: &Kubelet) -> Response<Body> {
    let node = kubelet.node();
    let now = rfc3339(node.clock.now());
    let usage = |fields: &mut Map<String, Value>, stats: ContainerStats| {
        let cpu = json!({"time": now, "usageCoreNanoSeconds": stats.cpu_nanos});
        let bytes = stats.memory_bytes;
        let memory = json!({"time": now, "workingSetBytes": bytes, "usageBytes": bytes});
        fields.insert("cpu".to_owned(), cpu);
        fields.insert("memory".to_owned(), memory);
    };
    let with = |value: Value, stats: ContainerStats| match value {
        Value::Object(mut fields) => {
            usage(&mut fields, stats);
            Value::Object(fields)
        }
        other => other,
    };
    let all = read(kubelet);
    let pods = all.iter().map(|pod| {
        let containers = pod.containers.iter().map(|one| {
            let head = json!({"name": one.name, "startTime": rfc3339(one.started)});
            with(head, one.stats)
        });
        let head = json!({
            "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "startTime": rfc3339(pod.started),
            "containers": containers.collect::<Vec<_>>(),
        });
        with(head, pod.sum())
    });
    let pods: Vec<Value> = pods.collect();
    let (used, left) = memory_of(kubelet);
    let stats = ContainerStats {
        memory_bytes: used,
        ..sum(all.iter().map(PodUsage::sum))
    };
    let mut told = with(json!({"nodeName": node.name}), stats);
    if let Some(memory) = told.get_mut("memory").and_then(Value::as_object_mut) {
        memory.insert("availableBytes".to_owned(), json!(left));
    }
    as_json(&json!({"node": told, "pods": pods}))
}

/// One figure of a Prometheus text: its name, kind and meaning, then its samples.
struct Text(String);

impl Text {
    fn figure(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{}}} {value}", labels.join(",")),
        };
    }

    fn answer(self) -> Response<Body> {
        whole(StatusCode::OK, METRICS_CONTENT_TYPE, self.0.into())
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn moment(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

/// What the metrics server reads. Kubernetes: `/metrics/resource`.
pub(super) fn resource(kubelet: &Kubelet) -> Response<Body> {
    let all = read(kubelet);
    let mut text = Text(String::new());
    let containers = || {
        all.iter().flat_map(|pod| {
            let of = move |one| {
                (
                    one,
                    [
                        ("namespace", pod.namespace.as_str()),
                        ("pod", pod.name.as_str()),
                    ],
                )
            };
            pod.containers.iter().map(of)
        })
    };
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&ContainerUsage) -> f64| {
        text.figure(name, kind, help);
        for (one, [namespace, pod]) in containers() {
            let labels = [("container", one.name.as_str()), namespace, pod];
            text.sample(name, &labels, value(one));
        }
    };
    each(
        "container_cpu_usage_seconds_total",
        "counter",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        |one| seconds(one.stats.cpu_nanos),
    );
    each(
        "container_memory_working_set_bytes",
        "gauge",
        "[STABLE] Current working set of the container in bytes",
        |one| one.stats.memory_bytes as f64,
    );
    each(
        "container_start_time_seconds",
        "gauge",
        "[STABLE] Start time of the container since unix epoch in seconds",
        |one| moment(one.started),
    );
    let (used, _) = memory_of(kubelet);
    let name = "node_cpu_usage_seconds_total";
    text.figure(
        name,
        "counter",
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
    );
    text.sample(
        name,
        &[],
        seconds(sum(all.iter().map(PodUsage::sum)).cpu_nanos),
    );
    let name = "node_memory_working_set_bytes";
    text.figure(
        name,
        "gauge",
        "[STABLE] Current working set of the node in bytes",
    );
    text.sample(name, &[], used as f64);
    let name = "pod_cpu_usage_seconds_total";
    text.figure(
        name,
        "counter",
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
    );
    for pod in &all {
        let labels = [
            ("namespace", pod.namespace.as_str()),
            ("pod", pod.name.as_str()),
        ];
        text.sample(name, &labels, seconds(pod.sum().cpu_nanos));
    }
    let name = "pod_memory_working_set_bytes";
    text.figure(
        name,
        "gauge",
        "[STABLE] Current working set of the pod in bytes",
    );
    for pod in &all {
        let labels = [
            ("namespace", pod.namespace.as_str()),
            ("pod", pod.name.as_str()),
        ];
        text.sample(name, &labels, pod.sum().memory_bytes as f64);
    }
    let name = "resource_scrape_error";
    let help = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    text.figure(name, "gauge", help);
    text.sample(name, &[], 0.0);
    text.answer()
}

/// The figures of cAdvisor that a sandbox has. Kubernetes: `/metrics/cadvisor`.
pub(super) fn cadvisor(kubelet: &Kubelet) -> Response<Body> {
    let all = read(kubelet);
    let now = kubelet.node().clock.now();
    let mut text = Text(String::new());
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&ContainerUsage) -> f64| {
        text.figure(name, kind, help);
        for pod in &all {
            for one in &pod.containers {
                let id = format!("/pods/{}/{}", pod.uid, one.name);
                let labels = [
                    ("container", one.name.as_str()),
                    ("id", id.as_str()),
                    ("image", one.image.as_str()),
                    ("name", id.as_str()),
                    ("namespace", pod.namespace.as_str()),
                    ("pod", pod.name.as_str()),
                ];
                text.sample(name, &labels, value(one));
            }
        }
    };
    let memory = |one: &ContainerUsage| one.stats.memory_bytes as f64;
    each(
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed in seconds.",
        &|one| seconds(one.stats.cpu_nanos),
    );
    each(
        "container_last_seen",
        "gauge",
        "Last time a container was seen by the exporter",
        &|_| moment(now),
    );
    each(
        "container_memory_usage_bytes",
        "gauge",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        &memory,
    );
    each(
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set in bytes.",
        &memory,
    );
    each(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds.",
        &|one| moment(one.started),
    );
    let (used, left) = memory_of(kubelet);
    let name = "machine_memory_bytes";
    text.figure(name, "gauge", "Amount of memory installed on the machine.");
    text.sample(name, &[], (used + left) as f64);
    text.answer()
}
