//! Which nodes a pod may go to by what stands in its spec: node selector terms and tolerations, as
//! the scheduler and the DaemonSets both read them. Pure.
//! Kubernetes: component-helpers `scheduling/corev1/nodeaffinity`, core/v1
//! `Toleration.ToleratesTaint`.

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};

/// A node as far as terms look at it.
pub trait Place {
    /// Its name.
    fn name(&self) -> &str;
    /// The label of a key.
    fn label(&self, key: &str) -> Option<&str>;
}

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
pub fn holds(term: &NodeSelectorTerm, node: &impl Place) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let by_name =
        |r: &NodeSelectorRequirement| r.key == "metadata.name" && satisfies(r, Some(node.name()));
    expressions.iter().all(|r| satisfies(r, node.label(&r.key))) && fields.iter().all(by_name)
}

/// Whether one of the terms holds for a node.
pub fn selects(selector: &NodeSelector, node: &impl Place) -> bool {
    let mut terms = selector.node_selector_terms.iter();
    terms.any(|term| holds(term, node))
}

/// Whether `toleration` covers `taint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &'_ Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator).as_str() {
        "Exists" => true,
        // The empty operator is Equal; the empty key with Equal covers nothing.
        "" | "Equal" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// The first taint of one of the effects that nothing tolerates.
pub fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: &[&str],
) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        effects.contains(&taint.effect.as_str())
            && !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
    })
}
