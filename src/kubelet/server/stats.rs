//! `/stats/summary`: what the node, its pods and their containers use, in the form of Kubernetes'
//! summary API, with the figures that a wasm sandbox has.

use super::{Body, as_json};
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::pod_spec;
use http::Response;
use serde_json::{Value, json};

pub(super) fn summary(kubelet: &Kubelet) -> Response<Body> {
    let node = kubelet.node();
    let now = node.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let usage = |cpu_nanos: u64, memory: u64| {
        (
            json!({"time": now, "usageCoreNanoSeconds": cpu_nanos}),
            json!({"time": now, "workingSetBytes": memory, "usageBytes": memory}),
        )
    };
    let mut all = (0u64, 0u64);
    let mut pods = Vec::new();
    for entry in kubelet.entries() {
        let pod = entry.pod();
        let mut of_pod = (0u64, 0u64);
        let containers: Vec<Value> = entry
            .stats()
            .into_iter()
            .map(|(name, stats)| {
                of_pod.0 += stats.cpu_nanos;
                of_pod.1 += stats.memory_bytes;
                let (cpu, memory) = usage(stats.cpu_nanos, stats.memory_bytes);
                json!({"name": name, "cpu": cpu, "memory": memory})
            })
            .collect();
        all.0 += of_pod.0;
        all.1 += of_pod.1;
        let (cpu, memory) = usage(of_pod.0, of_pod.1);
        pods.push(json!({
            "podRef": {
                "name": pod_spec::name(&pod),
                "namespace": pod_spec::namespace(&pod),
                "uid": pod_spec::uid(&pod),
            },
            "startTime": entry.state.lock().start_time.to_string(),
            "containers": containers,
            "cpu": cpu,
            "memory": memory,
        }));
    }
    let (cpu, mut memory) = usage(all.0, all.1);
    if let Some(fields) = memory.as_object_mut() {
        let limit = node.budget.limit();
        let left = limit.saturating_sub(node.budget.used());
        fields.insert("availableBytes".to_owned(), json!(left));
    }
    as_json(&json!({
        "node": {"nodeName": node.name, "cpu": cpu, "memory": memory},
        "pods": pods,
    }))
}
