//! What an update may change of a pod that its gates keep from being scheduled: it may be tied to
//! fewer nodes. Must not know gates themselves.
//! Kubernetes: `pkg/apis/core/validation` validateNodeSelectorMutation, validateNodeAffinityMutation.

use super::update::take;
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Tells what would tie the pod to other nodes than before.
pub(super) fn check(spec: &At<'_, '_>, old: &Value, errors: &mut Errors) {
    let selector = spec.field("nodeSelector");
    let olds = old.get("nodeSelector").and_then(Value::as_object);
    let mut olds = olds.into_iter().flatten();
    if olds.any(|(key, value)| selector.value.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(&selector, detail);
    }
    let old = old.get("affinity").and_then(|a| a.get("nodeAffinity"));
    let Some(old) = old.and_then(|a| a.get(REQUIRED)?.get("nodeSelectorTerms")) else {
        return;
    };
    let affinity = spec.field("affinity");
    let affinity = affinity.field("nodeAffinity");
    let required = affinity.field(REQUIRED);
    let terms = required.field("nodeSelectorTerms");
    let olds = old.as_array().map(Vec::as_slice).unwrap_or_default();
    if !olds.is_empty() && olds.len() != terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.invalid(&terms, detail);
        return;
    }
    for (term, old) in terms.items().zip(olds) {
        if !only_adds(term.value, old) {
            errors.invalid(
                &term,
                "only additions are allowed (no mutations or deletions)",
            );
        }
    }
}

fn only_adds(new: &Value, old: &Value) -> bool {
    let list = |term: &Value, name: &str| -> Vec<Value> {
        let list = term.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let fields = ["matchExpressions", "matchFields"];
    // A term that asks for nothing matches nothing, and would come to match something.
    if fields.iter().all(|field| list(old, field).is_empty()) {
        return fields.iter().all(|field| list(new, field).is_empty());
    }
    fields
        .iter()
        .all(|field| list(new, field).starts_with(&list(old, field)))
}

/// Takes from the old spec what may have changed.
pub(super) fn mask(spec: &mut Value, old: &Value) {
    let Some(spec) = spec.as_object_mut() else {
        return;
    };
    take(spec, old, "nodeSelector");
    let old_affinity = old.get("affinity");
    let old_node = old_affinity.and_then(|a| a.get("nodeAffinity"));
    let affinity = spec
        .entry("affinity")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(affinity) = affinity.as_object_mut() {
        match old_node {
            Some(node) => affinity.insert("nodeAffinity".to_owned(), node.clone()),
            None => affinity.remove("nodeAffinity"),
        };
        if affinity.is_empty() && old_affinity.is_none() {
            spec.remove("affinity");
        }
    }
}
