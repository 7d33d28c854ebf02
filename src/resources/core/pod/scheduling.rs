//! What a pod asks of its node: affinity, tolerations, spreading. Must not choose nodes.
//! Kubernetes: `pkg/apis/core/validation` validateAffinity, ValidateTolerations,
//! validateTopologySpreadConstraints.

use crate::meta::names;
use crate::resources::validate::selector;
use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// In Kubernetes' order.
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

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
        node_term(&term.field("preference"), false, errors);
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
    if !(1..=100).contains(&at.number()) {
        errors.invalid_as(at, at.number(), "must be in the range 1-100");
    }
}

/// Checks a NodeSelector.
pub(crate) fn node_selector(at: &At<'_, '_>, errors: &mut Errors) {
    let terms = at.field("nodeSelectorTerms");
    if terms.is_empty() {
        errors.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(&term, true, errors);
    }
}

/// Checks a term; the values of one that is only preferred are not asked to be labels.
fn node_term(term: &At<'_, '_>, is_required: bool, errors: &mut Errors) {
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
            _ => errors.invalid_as(&operator, operator.str(), "not a valid selector operator"),
        }
        let key = expression.field("key");
        errors.invalid_all(&key, names::qualified_name(key.str()));
        for value in values.items().filter(|_| is_required) {
            errors.invalid_all(&value, names::label_value(value.str()));
        }
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
            _ => errors.invalid_as(&operator, operator.str(), "not a valid selector operator"),
        }
        let key = field.field("key");
        if key.str() == "metadata.name" {
            for value in values.items() {
                errors.invalid_all(&value, names::dns1123_subdomain(value.str()));
            }
        } else {
            errors.invalid_as(&key, key.str(), "not a valid field selector key");
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
    let selector = term.field("labelSelector");
    let (keys, others) = (
        term.field("matchLabelKeys"),
        term.field("mismatchLabelKeys"),
    );
    label_keys(&keys, &selector, errors);
    label_keys(&others, &selector, errors);
    keys_of_selector(term, &keys, &selector, errors);
    for key in keys.items() {
        if others.values().any(|other| other == key.value) {
            errors.invalid(&key, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
    let key = term.field("topologyKey");
    if key.str().is_empty() {
        errors.required(&key, "can not be empty");
    }
    errors.invalid_all(&key, names::qualified_name(key.str()));
}

/// Keys of labels whose values are taken from the pod itself.
fn label_keys(keys: &At<'_, '_>, selector: &At<'_, '_>, errors: &mut Errors) {
    if keys.is_empty() {
        return;
    }
    if !selector.is_set() {
        errors.forbidden(keys, "must not be specified when labelSelector is not set");
        return;
    }
    for key in keys.items() {
        errors.invalid_all(&key, names::qualified_name(key.str()));
    }
}

/// Such a key may not stand in the selector too. The path is Kubernetes', without the field.
fn keys_of_selector(
    of: &At<'_, '_>,
    keys: &At<'_, '_>,
    selector: &At<'_, '_>,
    errors: &mut Errors,
) {
    let expressions = selector.field("matchExpressions");
    let mut used: BTreeSet<&str> = expressions
        .values()
        .filter_map(|one| one.get("key")?.as_str())
        .collect();
    used.extend(selector.field("matchLabels").entries().map(|(key, _)| key));
    for (index, key) in keys.items().enumerate() {
        if used.contains(key.str()) {
            let path = format!("{}[{index}]", of.path());
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.invalid(&At::root(key.value, &path), detail);
        }
    }
}

/// Checks `tolerations`.
pub(crate) fn tolerations(list: &At<'_, '_>, errors: &mut Errors) {
    for toleration in list.items() {
        let (key, operator) = (toleration.field("key"), toleration.field("operator"));
        if !key.str().is_empty() {
            errors.invalid_all(&key, names::qualified_name(key.str()));
        } else if operator.str() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all \
                          values and all keys\"";
            errors.invalid_as(&operator, operator.str(), detail);
        }
        let effect = toleration.field("effect");
        if toleration.field("tolerationSeconds").is_set() && effect.str() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid_as(&effect, effect.str(), detail);
        }
        let value = toleration.field("value").str();
        match operator.str() {
            "" | "Equal" => {
                let wrong = names::label_value(value);
                if !wrong.is_empty() {
                    errors.invalid_as(&operator, value, wrong.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.invalid_as(&operator, value, detail);
            }
            "Exists" => {}
            "Lt" | "Gt" => errors.not_supported(&operator, &["Equal", "Exists", "Lt", "Gt"]),
            _ => errors.not_supported(&operator, &["Equal", "Exists"]),
        }
        if !effect.str().is_empty() {
            errors.one_of(&effect, EFFECTS);
        }
    }
}

/// Checks `topologySpreadConstraints`.
pub(super) fn spread(list: &At<'_, '_>, errors: &mut Errors) {
    for (index, constraint) in list.items().enumerate() {
        let skew = constraint.field("maxSkew");
        if skew.number() <= 0 {
            errors.invalid_as(&skew, skew.number(), "must be greater than zero");
        }
        let key = constraint.field("topologyKey");
        if key.str().is_empty() {
            errors.required(&key, "can not be empty");
        }
        let action = constraint.field("whenUnsatisfiable");
        errors.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        let pair = |one: &At<'_, '_>| {
            let (key, action) = (one.field("topologyKey"), one.field("whenUnsatisfiable"));
            format!("{{{}, {}}}", key.str(), action.str())
        };
        let own = pair(&constraint);
        if list
            .items()
            .skip(index + 1)
            .any(|later| pair(&later) == own)
        {
            let at = constraint.field("{topologyKey, whenUnsatisfiable}");
            errors.duplicate_as(&at, own);
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
        let keys = constraint.field("matchLabelKeys");
        label_keys(&keys, &selector, errors);
        keys_of_selector(&constraint, &keys, &selector, errors);
        selector::label_selector(&selector, errors);
    }
}
