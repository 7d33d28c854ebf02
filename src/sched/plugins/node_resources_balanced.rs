//! NodeResourcesBalancedAllocation: prefers the node whose CPU and memory are then used to the same
//! degree.
//! Kubernetes: `noderesources/balanced_allocation.go` with two resources.

use crate::sched::cluster::Cluster;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, SCORE_MAX};

pub(crate) struct NodeResourcesBalancedAllocation;

struct Balance<'a>(&'a PodInfo);

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        // Kubernetes gives a pod that asks for nothing no preference here.
        let asks = pod.requests.cpu_millis != 0 || pod.requests.memory_bytes != 0;
        asks.then(|| Box::new(Balance(pod)) as Box<dyn Round>)
    }

    fn weight(&self) -> i64 {
        1
    }
}

impl Round for Balance<'_> {
    fn score(&self, _slot: usize, node: &NodeInfo) -> i64 {
        let part = |asked: i64, taken: i64, all: i64| {
            if all == 0 {
                1.0
            } else {
                (asked.saturating_add(taken) as f64 / all as f64).min(1.0)
            }
        };
        let (asked, taken, all) = (&self.0.requests, &node.requested, &node.allocatable);
        let cpu = part(asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
        let memory = part(asked.memory_bytes, taken.memory_bytes, all.memory_bytes);
        // The standard deviation of two values is half their distance.
        let spread = (cpu - memory).abs() / 2.0;
        ((1.0 - spread) * SCORE_MAX as f64) as i64
    }
}
