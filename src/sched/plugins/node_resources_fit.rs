//! NodeResourcesFit: what the pod asks for must be left on the node; the node with the most left
//! is the best.
//! Kubernetes: `noderesources/fit.go`, strategy LeastAllocated with cpu and memory of weight 1.

use crate::sched::amounts::Amounts;
use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, SCORE_MAX};

pub(crate) struct NodeResourcesFit;

struct Fit<'a>(&'a PodInfo);

fn other(amounts: &Amounts, name: &str) -> i64 {
    amounts.others.get(name).copied().unwrap_or(0)
}

fn check(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    let pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
    let full = pods >= node.pods_max;
    let (asked, taken, all) = (&pod.requests, &node.requested, &node.allocatable);
    let lacks = |asked: i64, taken: i64, all: i64| asked > 0 && asked > all - taken;
    let cpu = lacks(asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
    let memory = lacks(asked.memory_bytes, taken.memory_bytes, all.memory_bytes);
    if !full && !cpu && !memory && asked.others.is_empty() {
        return Ok(());
    }
    let mut reasons = Vec::new();
    // What could not fit even on the empty node is not helped by taking pods off it.
    let mut resolvable = true;
    if full {
        reasons.push("Too many pods".into());
    }
    if cpu {
        reasons.push("Insufficient cpu".into());
        resolvable &= asked.cpu_millis <= all.cpu_millis;
    }
    if memory {
        reasons.push("Insufficient memory".into());
        resolvable &= asked.memory_bytes <= all.memory_bytes;
    }
    for (name, amount) in &asked.others {
        if lacks(*amount, other(taken, name), other(all, name)) {
            reasons.push(format!("Insufficient {name}").into());
            resolvable &= *amount <= other(all, name);
        }
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

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        Some(Box::new(Fit(pod)))
    }

    fn weight(&self) -> i64 {
        1
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        match event {
            Event::Node(node, change) => change.allocatable && check(pod, node).is_ok(),
            // Each pod that goes leaves room for one more, if not of what is asked for.
            Event::PodGone(_) => true,
            Event::PodChanged(before, now) => before.requests != now.requests,
            Event::PodCame(_) | Event::Unknown => false,
        }
    }
}

impl Round for Fit<'_> {
    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        check(self.0, node)
    }

    fn score(&self, _slot: usize, node: &NodeInfo) -> i64 {
        let left = |asked: i64, taken: i64, all: i64| {
            let used = asked.saturating_add(taken);
            if all == 0 || used > all {
                0
            } else {
                (all - used) * SCORE_MAX / all
            }
        };
        let (asked, taken) = (&self.0.requests_nonzero, &node.requested_nonzero);
        let all = &node.allocatable;
        let cpu = left(asked.cpu_millis, taken.cpu_millis, all.cpu_millis);
        let memory = left(asked.memory_bytes, taken.memory_bytes, all.memory_bytes);
        (cpu + memory) / 2
    }
}
