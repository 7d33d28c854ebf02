//! NodeAffinity: the pod's node selector and its required node affinity must hold; what is only
//! preferred raises the score.
//! Kubernetes: component-helpers `scheduling/corev1/nodeaffinity`.

use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, scale};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

pub(crate) struct NodeAffinity;

/// Whether a value (absent: the label is not there) satisfies a requirement.
fn satisfies(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|own| own == value);
    let compare = |ordering: std::cmp::Ordering| {
        let (Some(value), [limit]) = (value, values) else {
            return false;
        };
        match (value.parse::<i64>(), limit.parse::<i64>()) {
            (Ok(value), Ok(limit)) => value.cmp(&limit) == ordering,
            _ => false,
        }
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

/// Whether a term holds for a node. A term without requirements holds for none.
fn holds(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = node.labels();
    expressions
        .iter()
        .all(|r| satisfies(r, labels.get(&r.key).map(String::as_str)))
        && fields
            .iter()
            .all(|r| r.key == "metadata.name" && satisfies(r, Some(node.name())))
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
            .is_none_or(|selector| {
                selector
                    .node_selector_terms
                    .iter()
                    .any(|term| holds(term, node))
            });
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
