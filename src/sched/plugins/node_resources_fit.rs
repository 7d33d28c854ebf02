//! NodeResourcesFit: what the pod asks for must be left on the node; the node with the most left
//! is the best.
//! Kubernetes: `noderesources/fit.go`, strategy LeastAllocated with cpu and memory of weight 1.

use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, SCORE_MAX};

pub(crate) struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        let mut reasons = Vec::new();
        // What could not fit even on the empty node is not helped by taking pods off it.
        let mut resolvable = true;
        let pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
        if pods >= node.pods_max {
            reasons.push("Too many pods".to_owned());
        }
        let (asked, taken, all) = (&pod.requests, &node.requested, &node.allocatable);
        let mut check = |name: &str, asked: i64, taken: i64, all: i64| {
            if asked > 0 && asked > all - taken {
                reasons.push(format!("Insufficient {name}"));
                resolvable &= asked <= all;
            }
        };
        check("cpu", asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
        check(
            "memory",
            asked.memory_bytes,
            taken.memory_bytes,
            all.memory_bytes,
        );
        for (name, amount) in &asked.others {
            let of = |amounts: &crate::sched::amounts::Amounts| {
                amounts.others.get(name).copied().unwrap_or(0)
            };
            check(name, *amount, of(taken), of(all));
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(Refusal {
                reasons,
                resolvable,
            })
        }
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let left = |asked: i64, taken: i64, all: i64| {
            let used = asked.saturating_add(taken);
            if all == 0 || used > all {
                0
            } else {
                (all - used) * SCORE_MAX / all
            }
        };
        let (asked, taken) = (&pod.requests_nonzero, &node.requested_nonzero);
        let all = &node.allocatable;
        let cpu = left(asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
        let memory = left(asked.memory_bytes, taken.memory_bytes, all.memory_bytes);
        (cpu + memory) / 2
    }
}
