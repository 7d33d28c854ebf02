//! NodeResourcesBalancedAllocation: prefers the node whose CPU and memory are then used to the same
//! degree.
//! Kubernetes: `noderesources/balanced_allocation.go` with two resources.

use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, SCORE_MAX};

pub(crate) struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        // Kubernetes gives a pod that asks for nothing no preference here.
        if pod.requests.cpu_millis == 0 && pod.requests.memory_bytes == 0 {
            return 0;
        }
        let part = |asked: i64, taken: i64, all: i64| {
            if all == 0 {
                1.0
            } else {
                (asked.saturating_add(taken) as f64 / all as f64).min(1.0)
            }
        };
        let (asked, taken, all) = (&pod.requests, &node.requested, &node.allocatable);
        let cpu = part(asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
        let memory = part(asked.memory_bytes, taken.memory_bytes, all.memory_bytes);
        // The standard deviation of two values is half their distance.
        let spread = (cpu - memory).abs() / 2.0;
        ((1.0 - spread) * SCORE_MAX as f64) as i64
    }
}
