//! The scopes of a quota: which objects it counts.
//! Kubernetes: `pkg/apis/core/validation` validateResourceQuotaScopes,
//! validateScopedResourceSelectorRequirement.

use super::is_of_quotas;
use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// Scopes that a selector can only ask to be there.
const FLAGS: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "CrossNamespacePodAffinity",
];
/// Scopes that exclude each other.
const PAIRS: &[(&str, &str)] = &[
    ("BestEffort", "NotBestEffort"),
    ("Terminating", "NotTerminating"),
];
/// What pods ask for.
const OF_PODS: &[&str] = &[
    "pods",
    "cpu",
    "memory",
    "limits.cpu",
    "limits.memory",
    "requests.cpu",
    "requests.memory",
];
/// What claims ask for.
const OF_CLAIMS: &[&str] = &["persistentvolumeclaims", "requests.storage"];

/// Checks `scopes`.
pub(super) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    let list = spec.field("scopes");
    for scope in list.items() {
        if !SCOPES.contains(&scope.str()) {
            errors.invalid(&list, "unsupported scope");
        }
        for _ in unfit(spec, scope.str()) {
            errors.invalid(&list, "unsupported scope applied to resource");
        }
    }
    conflicts(
        spec,
        &list,
        list.items().map(|scope| scope.str()).collect(),
        errors,
    );
}

/// Checks `scopeSelector`. Kubernetes' paths do not say which expression is wrong.
pub(super) fn validate_selector(spec: &At<'_, '_>, errors: &mut Errors) {
    let selector = spec.field("scopeSelector");
    let list = selector.field("matchExpressions");
    let mut scopes = BTreeSet::new();
    for expression in list.items() {
        let scope = expression.field("scopeName").str();
        let (operator, values) = (expression.field("operator"), expression.field("values"));
        scopes.insert(scope);
        if !SCOPES.contains(&scope) {
            errors.invalid_as(&list.field("scopeName"), scope, "unsupported scope");
        }
        for _ in unfit(spec, scope) {
            let detail = "unsupported scope applied to resource";
            errors.invalid_as(&list, selector.value.clone(), detail);
        }
        if FLAGS.contains(&scope) && operator.str() != "Exists" {
            let detail = "must be 'Exist' operator when scope is any of \
                          ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                          ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                          ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid_as(&list.field("operator"), operator.str(), detail);
        }
        match operator.str() {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for \
                              scope selector";
                errors.required(&list.field("values"), detail);
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' \
                                  for scope selector";
                    errors.invalid_as(&list.field("values"), values.value.clone(), detail);
                }
            }
            other => {
                let detail = "not a valid selector operator";
                errors.invalid_as(&list.field("operator"), other, detail);
            }
        }
    }
    conflicts(spec, &list, scopes, errors);
}

/// The names of the quota that a scope does not go with.
fn unfit<'v>(spec: &At<'v, '_>, scope: &str) -> Vec<&'v str> {
    let fits = |name: &str| match scope {
        "BestEffort" => name == "pods",
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => OF_PODS.contains(&name),
        "VolumeAttributesClass" => OF_CLAIMS.contains(&name),
        _ => true,
    };
    let hard = spec.field("hard");
    let names = hard.entries().map(|(name, _)| name);
    names
        .filter(|name| is_of_quotas(name) && !name.contains('/') && !fits(name))
        .collect()
}

fn conflicts(spec: &At<'_, '_>, at: &At<'_, '_>, scopes: BTreeSet<&str>, errors: &mut Errors) {
    for (one, other) in PAIRS {
        if scopes.contains(one) && scopes.contains(other) {
            let shown = spec.field("scopes").value.clone();
            errors.invalid_as(at, shown, "conflicting scopes");
        }
    }
}
