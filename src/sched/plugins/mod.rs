//! The scheduler's plugins: one file each, one line in the list.

mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;

pub(crate) use node_affinity::NodeAffinity;
pub(crate) use node_name::NodeName;
pub(crate) use node_ports::NodePorts;
pub(crate) use node_resources_balanced::NodeResourcesBalancedAllocation;
pub(crate) use node_resources_fit::NodeResourcesFit;
pub(crate) use node_unschedulable::NodeUnschedulable;
pub(crate) use taint_toleration::TaintToleration;

use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};

/// The highest score a plugin gives.
pub(crate) const SCORE_MAX: i64 = 100;

/// The plugins in the order in which they filter. Kubernetes' default profile.
pub(crate) static PLUGINS: &[&dyn Plugin] = &[
    &NodeUnschedulable,
    &NodeName,
    &TaintToleration,
    &NodeAffinity,
    &NodePorts,
    &NodeResourcesFit,
    &NodeResourcesBalancedAllocation,
];

/// One concern of placing a pod. Pure.
pub(crate) trait Plugin: Send + Sync {
    /// Whether the pod may go to the node at all.
    fn filter(&self, _pod: &PodInfo, _node: &NodeInfo) -> Result<(), Refusal> {
        Ok(())
    }

    /// How much the score counts; 0 for plugins that do not score.
    fn weight(&self) -> i64 {
        0
    }

    /// How well the node suits, raw.
    fn score(&self, _pod: &PodInfo, _node: &NodeInfo) -> i64 {
        0
    }

    /// Brings raw scores of all feasible nodes to 0..=[`SCORE_MAX`].
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// Scales scores so that the highest is [`SCORE_MAX`]; `reverse` makes the lowest the best.
pub(crate) fn scale(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if highest == 0 {
            0
        } else {
            *score * SCORE_MAX / highest
        };
        *score = if reverse { SCORE_MAX - scaled } else { scaled };
    }
}
