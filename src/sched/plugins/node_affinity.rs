//! NodeAffinity: the pod's node selector and its required node affinity must hold; what is only
//! preferred raises the score.
//! Kubernetes: component-helpers `scheduling/corev1/nodeaffinity`.

use crate::resources::placement::{Place, holds, selects};
use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, scale};
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorTerm, PreferredSchedulingTerm};

pub(crate) struct NodeAffinity;

struct Wishes<'a>(&'a PodInfo);

impl Place for NodeInfo {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels().get(key).map(String::as_str)
    }
}

fn required(pod: &PodInfo) -> Option<&NodeSelector> {
    let affinity = pod.pod.spec.affinity.node_affinity.as_ref()?;
    affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()
}

fn preferred(pod: &PodInfo) -> &[PreferredSchedulingTerm] {
    let affinity = pod.pod.spec.affinity.node_affinity.as_ref();
    affinity
        .and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

/// Whether the pod's node selector and required affinity allow a node.
pub(crate) fn allowed(pod: &PodInfo, node: &NodeInfo) -> bool {
    let labels = node.labels();
    let mut wanted = pod.pod.spec.node_selector.iter();
    wanted.all(|(key, value)| labels.get(key) == Some(value))
        && required(pod).is_none_or(|selector| selects(selector, node))
}

/// The names that a term leaves, if it names its nodes.
fn named(term: &NodeSelectorTerm) -> Option<Vec<String>> {
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let by_name = fields
        .iter()
        .find(|field| field.key == "metadata.name" && field.operator == "In");
    by_name.map(|field| field.values.clone().unwrap_or_default())
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        let spec = &pod.pod.spec;
        let says = !spec.node_selector.is_empty() || spec.affinity.node_affinity.is_some();
        says.then(|| Box::new(Wishes(pod)) as Box<dyn Round>)
    }

    fn weight(&self) -> i64 {
        2
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        matches!(event, Event::Node(node, change) if change.labels && allowed(pod, node))
    }
}

impl Round for Wishes<'_> {
    fn only(&self) -> Option<Vec<String>> {
        let terms = &required(self.0)?.node_selector_terms;
        let names: Option<Vec<Vec<String>>> = terms.iter().map(named).collect();
        names
            .filter(|names| !names.is_empty())
            .map(|names| names.concat())
    }

    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        if allowed(self.0, node) {
            Ok(())
        } else {
            Err(Refusal::for_good(
                "node(s) didn't match Pod's node affinity/selector",
            ))
        }
    }

    fn prepare(&mut self, _feasible: &[(usize, &NodeInfo)]) -> bool {
        !preferred(self.0).is_empty()
    }

    fn score(&self, _slot: usize, node: &NodeInfo) -> i64 {
        let terms = preferred(self.0).iter();
        terms
            .filter(|term| term.weight != 0 && holds(&term.preference, node))
            .map(|term| i64::from(term.weight))
            .sum()
    }

    fn normalize(&self, _feasible: &[(usize, &NodeInfo)], scores: &mut [i64]) {
        scale(scores, false);
    }
}
