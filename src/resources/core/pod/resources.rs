//! What containers ask for: requests and limits. Must not know how much there is.
//! Kubernetes: `pkg/apis/core/validation` ValidateResourceRequirements.

use crate::meta::names;
use crate::meta::quantity::Quantity;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// Resources of the standard set that a container may ask for.
const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// Names of the domain that Kubernetes keeps for itself.
const OWN_DOMAIN: &str = "kubernetes.io/";

/// Checks `resources` of a container.
pub(super) fn validate(resources: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let (limits, requests) = (resources.field("limits"), resources.field("requests"));
    for (name, value) in limits.entries() {
        amount(&limits.key(name), name, value, errors);
    }
    for (name, value) in requests.entries() {
        amount(&requests.key(name), name, value, errors);
        let Ok(request) = Quantity::from_value(value) else {
            continue;
        };
        let limit = limits.value.get(name);
        match limit.and_then(|limit| Quantity::from_value(limit).ok()) {
            Some(limit) if is_overcommitable(name) && request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.invalid_as(&requests, request.to_string(), detail);
            }
            Some(limit) if !is_overcommitable(name) && request != limit => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.invalid_as(&requests, request.to_string(), detail);
            }
            None if !is_overcommitable(name) => {
                errors.required(
                    &limits,
                    "Limit must be set for non overcommitable resources",
                );
            }
            _ => {}
        }
    }
    claims(&resources.field("claims"), spec, errors);
}

fn claims(claims: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let known = spec.field("resourceClaims");
    for claim in claims.items() {
        let name = claim.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
            continue;
        }
        let named = |c: &Value| c.get("name").and_then(Value::as_str) == Some(name.str());
        if !known.values().any(named) {
            errors.not_found(&name);
        }
    }
}

/// Checks a resource's name and its amount.
pub(crate) fn amount(at: &At<'_, '_>, name: &str, value: &Value, errors: &mut Errors) {
    for detail in names::qualified_name(name) {
        errors.invalid_as(at, name, detail);
    }
    if !name.contains('/') && !STANDARD.contains(&name) && !name.starts_with("hugepages-") {
        errors.invalid_as(at, name, "must be a standard resource for containers");
    }
    let Ok(amount) = Quantity::from_value(value) else {
        return;
    };
    if amount.is_negative() {
        let detail = "must be greater than or equal to 0";
        errors.invalid_as(at, amount.to_string(), detail);
    }
    if name.contains('/') && !name.contains(OWN_DOMAIN) && !amount.is_integer() {
        errors.invalid_as(at, amount.to_string(), "must be an integer");
    }
}

/// Resources of other domains, and huge pages, are counted one by one: limit and request agree.
fn is_overcommitable(name: &str) -> bool {
    let native = !name.contains('/') || name.contains(OWN_DOMAIN);
    native && !name.starts_with("hugepages-")
}
