//! Keeps a node from running out of memory: near the end of it the node says MemoryPressure, and
//! past the threshold ends one pod at a time, in Kubernetes' order. The choice is pure.
//!
//! Kubernetes: kubelet eviction manager, `rankMemoryPressure`.

use crate::client::EventType;
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::node_status::NodeReporter;
use crate::kubelet::pod_actions;
use crate::kubelet::pod_spec;
use crate::kubelet::state::Verdict;
use k8s_openapi::api::core::v1::Pod;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// Share of the memory, in percent, at which the node says that it is pressed and ends pods.
const PRESSED_PERCENT: u64 = 95;
/// Share at which it is no longer pressed.
const RELIEVED_PERCENT: u64 = 85;
/// How long the node stays pressed at least. Kubernetes: evictionPressureTransitionPeriod is five
/// minutes; a guest's memory is back at once, so a shorter one keeps the condition from flapping.
const PRESSED_MIN: Duration = Duration::from_secs(30);
/// How long a pod that was ended has to give its memory back before the next one is.
const NEXT_AFTER: Duration = Duration::from_secs(1);

/// What the order looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// `metadata.uid`.
    pub(super) uid: String,
    /// Bytes in use.
    pub(super) usage: u64,
    /// Bytes requested.
    pub(super) request: u64,
    /// `spec.priority`.
    pub(super) priority: i32,
}

/// Puts first who goes first: pods that use more than they requested, then lower priority, then
/// who uses most over the request.
pub(super) fn rank(candidates: &mut [Candidate]) {
    candidates.sort_by_key(|c| {
        let over = i128::from(c.usage) - i128::from(c.request);
        (over <= 0, c.priority, Reverse(over))
    });
}

/// Pods without which a node is none are never ended. Kubernetes: IsCriticalPod.
fn is_critical(pod: &Pod) -> bool {
    const SYSTEM_CRITICAL: i32 = 2_000_000_000;
    pod_spec::spec(pod)
        .and_then(|spec| spec.priority)
        .is_some_and(|priority| priority >= SYSTEM_CRITICAL)
}

/// Watches the node's memory until it stops.
pub(super) async fn run(kubelet: Arc<Kubelet>, reporter: Arc<NodeReporter>) {
    let budget = kubelet.node().budget.clone();
    let clock = kubelet.node().clock.clone();
    let share = |percent: u64| budget.limit() / 100 * percent;
    loop {
        budget.reached(share(PRESSED_PERCENT)).await;
        let message = "Attempting to reclaim memory";
        reporter.event(EventType::Warning, "EvictionThresholdMet", message);
        reporter.set_memory_pressure(true);
        let since = clock.instant();
        loop {
            if budget.used() >= share(PRESSED_PERCENT) {
                evict_one(&kubelet, budget.used(), budget.limit());
                clock.sleep(NEXT_AFTER).await;
            } else if budget.used() < share(RELIEVED_PERCENT)
                && clock.instant().duration_since(since) >= PRESSED_MIN
            {
                break;
            } else {
                clock.sleep(NEXT_AFTER).await;
            }
        }
        reporter.set_memory_pressure(false);
    }
}

fn evict_one(kubelet: &Kubelet, used: u64, limit: u64) {
    let mut candidates = Vec::new();
    for entry in kubelet.entries() {
        let pod = entry.pod();
        let over = pod_actions::is_over(&pod, &entry.state.lock());
        if over || is_critical(&pod) || pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let usage = entry.stats().iter().map(|(_, s)| s.memory_bytes).sum();
        let request = pod_spec::request(&pod, "memory") / 1_000;
        candidates.push(Candidate {
            uid: entry.uid().to_owned(),
            usage,
            request: u64::try_from(request).unwrap_or(0),
            priority: pod_spec::spec(&pod).and_then(|s| s.priority).unwrap_or(0),
        });
    }
    rank(&mut candidates);
    let first = candidates.first();
    let entry = first.and_then(|c| kubelet.entries().into_iter().find(|e| e.uid() == c.uid));
    let (Some(first), Some(entry)) = (first, entry) else {
        return;
    };
    let pod = entry.pod();
    let message = message(
        &pod,
        &entry.stats(),
        first.request,
        limit.saturating_sub(used),
    );
    let node = kubelet.node();
    node.metrics.evictions.inc();
    node.event(&pod, "", EventType::Warning, "Evicted", &*message);
    entry.end(Verdict {
        reason: "Evicted".to_owned(),
        message,
        grace_seconds: 0,
        disruption: "TerminationByKubelet".to_owned(),
    });
}

fn message(
    pod: &Pod,
    stats: &[(String, crate::kubelet::runtime::ContainerStats)],
    request: u64,
    available: u64,
) -> String {
    use std::fmt::Write as _;
    let threshold = 100 - PRESSED_PERCENT;
    let mut text = format!(
        "The node was low on resource: memory. Threshold quantity: {threshold}%, available: {}Ki. ",
        available >> 10
    );
    for (name, used) in stats {
        let container = pod_spec::all_containers(pod).find(|c| &c.name == name);
        let requests = container.and_then(|c| c.resources.as_ref()?.requests.as_ref());
        let asked = pod_spec::amount(requests, "memory") / 1_000;
        if i128::from(used.memory_bytes) > asked {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "Container {name} was using {}Ki, request is {}, has larger consumption of \
                 memory. ",
                used.memory_bytes >> 10,
                if asked == 0 {
                    "0".to_owned()
                } else {
                    format!("{}Ki", asked >> 10)
                },
            );
        }
    }
    let _ = request;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_more_than_requested_goes_first_then_priority_then_use() {
        let candidate = |uid: &str, usage, request, priority| Candidate {
            uid: uid.to_owned(),
            usage,
            request,
            priority,
        };
        let mut all = [
            candidate("within, low", 10, 20, -5),
            candidate("over, high", 90, 20, 100),
            candidate("over a little", 21, 20, 0),
            candidate("over much", 80, 20, 0),
        ];
        rank(&mut all);
        let order: Vec<&str> = all.iter().map(|c| c.uid.as_str()).collect();
        let wanted = ["over much", "over a little", "over, high", "within, low"];
        assert_eq!(order, wanted);
    }
}
