//! What has happened in the cluster that could help a pod that fits nowhere. Each plugin says which
//! of it could change its mind. Must not know the queue.
//! Kubernetes: kube-scheduler queueing hints (`framework/types.go` ClusterEvent).

use crate::sched::cycle::Plugins;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::PLUGINS;

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A node is new, or says something else of itself that counts.
    Node(&'a NodeInfo, NodeChange),
    /// A pod has left its node.
    PodGone(&'a PodInfo),
    /// A pod is on a node.
    PodCame(&'a PodInfo),
    /// A pod on a node was the first and is the second.
    PodChanged(&'a PodInfo, &'a PodInfo),
    /// A namespace has other labels, or something else of which too little is known.
    Unknown,
}

impl Event<'_> {
    /// The plugins whose mind it could change at all.
    pub(crate) fn reacting(&self) -> Plugins {
        let names: &[&str] = match self {
            Self::Node(..) => return !0,
            Self::PodGone(_) => &["NodePorts", "NodeResourcesFit", SPREAD, AFFINITY],
            Self::PodChanged(..) => &["NodeResourcesFit", SPREAD, AFFINITY],
            Self::PodCame(_) => &[SPREAD, AFFINITY],
            Self::Unknown => &[AFFINITY],
        };
        let plugins = PLUGINS.iter().enumerate();
        let reacting = plugins.filter(|(_, plugin)| names.contains(&plugin.name()));
        reacting.fold(0, |all, (bit, _)| all | 1 << bit)
    }
}

const SPREAD: &str = "PodTopologySpread";
const AFFINITY: &str = "InterPodAffinity";

/// What of a node has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeChange {
    /// It is new, or can be scheduled on again.
    pub(crate) opened: bool,
    pub(crate) labels: bool,
    pub(crate) taints: bool,
    pub(crate) allocatable: bool,
}

impl NodeChange {
    /// A new node.
    pub(crate) const NEW: Self = Self {
        opened: true,
        labels: true,
        taints: true,
        allocatable: true,
    };

    /// Whether nothing that counts has changed.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
