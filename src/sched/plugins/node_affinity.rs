//! NodeAffinity: the pod's node selector and its required node affinity must hold; what is only
//! preferred raises the score.
//! Kubernetes: component-helpers `scheduling/corev1/nodeaffinity`.

use crate::resources::placement::{Place, holds, selects};
use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, scale};

pub(crate) struct NodeAffinity;

impl Place for NodeInfo {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels().get(key).map(String::as_str)
    }
}

impl Plugin for NodeAffinity {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        let spec = &pod.pod.spec;
        let labels = node.labels();
        let selected = spec
            .node_selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value));
        let required = spec
            .affinity
            .node_affinity
            .as_ref()
            .and_then(|a| {
                a.required_during_scheduling_ignored_during_execution
                    .as_ref()
            })
            .is_none_or(|selector| selects(selector, node));
        if selected && required {
            Ok(())
        } else {
            Err(Refusal::for_good(
                "node(s) didn't match Pod's node affinity/selector",
            ))
        }
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let affinity = pod.pod.spec.affinity.node_affinity.as_ref();
        let preferred = affinity
            .and_then(|a| {
                a.preferred_during_scheduling_ignored_during_execution
                    .as_deref()
            })
            .unwrap_or_default();
        preferred
            .iter()
            .filter(|term| term.weight != 0 && holds(&term.preference, node))
            .map(|term| i64::from(term.weight))
            .sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        scale(scores, false);
    }
}
