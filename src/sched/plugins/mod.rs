//! The scheduler's plugins: one file each, one line in the list. A plugin looks at a pod and at all
//! nodes once, and may have nothing to say; what it has to say of single nodes is its round.

mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced;
mod node_resources_fit;
mod node_unschedulable;
mod pod_topology_spread;
mod taint_toleration;

pub(crate) use image_locality::ImageLocality;
pub(crate) use inter_pod_affinity::InterPodAffinity;
pub(crate) use node_affinity::{NodeAffinity, allowed as node_allowed};
pub(crate) use node_name::NodeName;
pub(crate) use node_ports::NodePorts;
pub(crate) use node_resources_balanced::NodeResourcesBalancedAllocation;
pub(crate) use node_resources_fit::NodeResourcesFit;
pub(crate) use node_unschedulable::NodeUnschedulable;
pub(crate) use pod_topology_spread::PodTopologySpread;
pub(crate) use taint_toleration::{TaintToleration, tolerated};

use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
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
    &PodTopologySpread,
    &InterPodAffinity,
    &NodeResourcesBalancedAllocation,
    &ImageLocality,
];

/// One concern of placing a pod. Pure.
pub(crate) trait Plugin: Send + Sync {
    /// Its name, as Kubernetes' messages have it.
    fn name(&self) -> &'static str;

    /// Looks at the pod and all nodes once; none if it has nothing to say.
    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>>;

    /// How much its scores count; 0 for plugins that do not score.
    fn weight(&self) -> i64 {
        0
    }

    /// Whether a pod that it refused may fit after what has happened.
    fn helps(&self, _event: &Event<'_>, _pod: &PodInfo, _cluster: &Cluster) -> bool {
        false
    }
}

/// What a plugin says of the nodes for one pod.
pub(crate) trait Round {
    /// The only nodes that there are for the pod, by name, if they are few.
    fn only(&self) -> Option<Vec<String>> {
        None
    }

    /// Whether the pod may go to the node at all.
    fn filter(&self, _slot: usize, _node: &NodeInfo) -> Result<(), Refusal> {
        Ok(())
    }

    /// Looks at the nodes of which one is to be chosen; false if no score is to be given.
    fn prepare(&mut self, _feasible: &[(usize, &NodeInfo)]) -> bool {
        true
    }

    /// How well the node suits, raw.
    fn score(&self, _slot: usize, _node: &NodeInfo) -> i64 {
        0
    }

    /// Brings raw scores of all feasible nodes to 0..=[`SCORE_MAX`].
    fn normalize(&self, _feasible: &[(usize, &NodeInfo)], _scores: &mut [i64]) {}

    /// Another pod is thought to come to a node (`by` is 1) or to go (-1).
    fn suppose(&mut self, _slot: usize, _other: &PodInfo, _by: i64) {}
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
