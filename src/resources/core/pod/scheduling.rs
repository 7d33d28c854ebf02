//! What a pod asks of its node: affinity, tolerations, spreading. Must not choose nodes.
//! Kubernetes: `pkg/apis/core/validation` validateAffinity, ValidateTolerations,
//! validateTopologySpreadConstraints.

use crate::meta::names;
use crate::resources::validate::selector;
use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "PreferNoSchedule"];

/// Checks `affinity`.
pub(super) fn affinity(at: &At<'_, '_>, errors: &mut Errors) {
    let node = at.field("nodeAffinity");
    let required = node.field("requiredDuringSchedulingIgnoredDuringExecution");
    if required.is_set() {
        node_selector(&required, errors);
    }
    let preferred = node.field("preferredDuringSchedulingIgnoredDuringExecution");
    for term in preferred.items() {
        weight(&term.field("weight"), errors);
        node_term(&term.field("preference"), errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let kind = at.field(kind);
        let required = kind.field("requiredDuringSchedulingIgnoredDuringExecution");
        for term in required.items() {
            pod_term(&term, errors);
        }
        let preferred = kind.field("preferredDuringSchedulingIgnoredDuringExecution");
        for term in preferred.items() {
            weight(&term.field("weight"), errors);
            pod_term(&term.field("podAffinityTerm"), errors);
        }
    }
}

fn weight(at: &At<'_, '_>, errors: &mut Errors) {
    if !(1..=100).contains(&at.int().unwrap_or(0)) {
        errors.invalid(at, "must be in the range 1-100");
    }
}

/// Checks a NodeSelector.
pub(crate) fn node_selector(at: &At<'_, '_>, errors: &mut Errors) {
    let terms = at.field("nodeSelectorTerms");
    if terms.is_empty() {
        errors.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(&term, errors);
    }
}

fn node_term(term: &At<'_, '_>, errors: &mut Errors) {
    for expression in term.field("matchExpressions").items() {
        let (operator, values) = (expression.field("operator"), expression.field("values"));
        match operator.str() {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(&values, detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&values, detail);
            }
            "Gt" | "Lt" if values.len() != 1 => {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&values, detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => errors.invalid(&operator, "not a valid selector operator"),
        }
        let key = expression.field("key");
        errors.invalid_all(&key, names::qualified_name(key.str()));
    }
    for field in term.field("matchFields").items() {
        let (operator, values) = (field.field("operator"), field.field("values"));
        match operator.str() {
            "In" | "NotIn" if values.len() != 1 => {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node \
                              field selector";
                errors.required(&values, detail);
            }
            "In" | "NotIn" => {}
            _ => errors.invalid(&operator, "not a valid selector operator"),
        }
        let key = field.field("key");
        if key.str() != "metadata.name" {
            errors.invalid(&key, "not a valid field selector key");
        }
    }
}

fn pod_term(term: &At<'_, '_>, errors: &mut Errors) {
    selector::label_selector(&term.field("labelSelector"), errors);
    selector::label_selector(&term.field("namespaceSelector"), errors);
    let namespaces = term.field("namespaces");
    for name in namespaces.values().filter_map(|name| name.as_str()) {
        for detail in names::dns1123_label(name) {
            errors.invalid_as(&term.field("namespace"), name, detail);
        }
    }
    topology_key(&term.field("topologyKey"), errors);
}

fn topology_key(key: &At<'_, '_>, errors: &mut Errors) {
    if key.str().is_empty() {
        errors.required(key, "can not be empty");
    } else {
        errors.invalid_all(key, names::qualified_name(key.str()));
    }
}

/// Checks `tolerations`.
pub(super) fn tolerations(list: &At<'_, '_>, errors: &mut Errors) {
    for toleration in list.items() {
        let (key, operator) = (toleration.field("key"), toleration.field("operator"));
        if key.str().is_empty() {
            if operator.str() != "Exists" {
                let detail = "operator must be Exists when `key` is empty, which means \"match \
                              all values and all keys\"";
                errors.invalid_as(&operator, operator.str(), detail);
            }
        } else {
            errors.invalid_all(&key, names::qualified_name(key.str()));
        }
        let effect = toleration.field("effect");
        if toleration.field("tolerationSeconds").is_set() && effect.str() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid_as(&effect, effect.str(), detail);
        }
        let value = toleration.field("value").str();
        match operator.str() {
            "" | "Equal" => {
                for detail in names::label_value(value) {
                    errors.invalid_as(&operator, value, detail);
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.invalid_as(&operator, toleration.value.clone(), detail);
            }
            "Exists" => {}
            _ => errors.not_supported(&operator, &["Equal", "Exists"]),
        }
        if !effect.str().is_empty() {
            errors.one_of(&effect, EFFECTS);
        }
    }
}

/// Checks `topologySpreadConstraints`.
pub(super) fn spread(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for constraint in list.items() {
        let skew = constraint.field("maxSkew");
        if skew.int().unwrap_or(0) <= 0 {
            errors.invalid(&skew, "must be greater than zero");
        }
        topology_key(&constraint.field("topologyKey"), errors);
        let action = constraint.field("whenUnsatisfiable");
        errors.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        let pair = format!(
            "{{{}, {}}}",
            constraint.field("topologyKey").str(),
            action.str()
        );
        if !seen.insert(pair.clone()) {
            errors.0.push(crate::meta::FieldError::duplicate(
                constraint.field("{topologyKey, whenUnsatisfiable}").path(),
                pair,
            ));
        }
        let domains = constraint.field("minDomains");
        errors.positive(&domains);
        if domains.is_set() && action.str() != "DoNotSchedule" {
            let detail = format!(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                action.str()
            );
            errors.invalid(&domains, detail);
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.field(policy);
            if policy.is_set() {
                errors.one_of(&policy, &["Honor", "Ignore"]);
            }
        }
        let selector = constraint.field("labelSelector");
        selector::label_selector(&selector, errors);
        let keys = constraint.field("matchLabelKeys");
        if !keys.is_empty() && !selector.is_set() {
            errors.forbidden(&keys, "must not be specified when labelSelector is not set");
        }
        for key in keys.items() {
            errors.invalid_all(&key, names::qualified_name(key.str()));
        }
    }
}
