//! What containers and pods ask for: requests and limits. Must not know how much there is.
//! Kubernetes: `pkg/apis/core/validation` validateResourceRequirements, validatePodResources.

use crate::meta::names;
use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, FieldErrorKind};
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Resources of the standard set that a container may ask for.
const OF_CONTAINERS: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// Resources of the standard set that a pod as a whole may ask for.
const OF_PODS: &[&str] = &["cpu", "memory"];
/// Names without a domain that Kubernetes knows, in a quota or elsewhere.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Names of the domain that Kubernetes keeps for itself.
const OWN_DOMAIN: &str = "kubernetes.io/";
const HUGE: &str = "hugepages-";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Container,
    Pod,
}

/// Checks `resources` of a container or of the pod.
pub(super) fn validate(
    resources: &At<'_, '_>,
    spec: &At<'_, '_>,
    level: Level,
    errors: &mut Errors,
) {
    let (limits, requests) = (resources.field("limits"), resources.field("requests"));
    for (name, value) in limits.entries() {
        amount(&limits.key(name), name, value, level, errors);
    }
    for (name, value) in requests.entries() {
        amount(&requests.key(name), name, value, level, errors);
        let Ok(request) = Quantity::from_value(value) else {
            continue;
        };
        let limit = limits.value.get(name);
        match limit.and_then(|limit| Quantity::from_value(limit).ok()) {
            Some(limit) if !is_overcommitable(name) && request != limit => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.invalid_as(&requests, request.to_string(), detail);
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
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
    let entries = limits.entries().chain(requests.entries());
    let names: BTreeSet<&str> = entries.map(|(name, _)| name).collect();
    let ordinary = names.iter().any(|name| OF_PODS.contains(name));
    if !ordinary && names.iter().any(|name| name.starts_with(HUGE)) {
        errors.forbidden(resources, "HugePages require cpu or memory");
    }
    claims(&resources.field("claims"), spec, errors);
}

fn claims(claims: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let known = spec.field("resourceClaims");
    let known: BTreeSet<&str> = known
        .values()
        .filter_map(|claim| claim.get("name")?.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for claim in claims.items() {
        let (name, request) = (claim.field("name").str(), claim.field("request").str());
        if name.is_empty() {
            errors.required(&claim, "");
            continue;
        }
        if seen.contains(&(name, "")) {
            errors.duplicate_as(&claim, name);
        } else {
            let at = claim.field("request");
            if !request.is_empty() {
                errors.invalid_all(&at, names::dns1123_label(request));
            }
            if seen.contains(&(name, request)) {
                errors.duplicate_as(&claim, format!("{name}/{request}"));
            } else if request.is_empty() && seen.iter().any(|(other, _)| *other == name) {
                errors.duplicate_as(&claim, name);
            }
            seen.insert((name, request));
        }
        if !known.contains(name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if known.is_empty() {
                detail.push_str(" which is empty");
            } else {
                let list: Vec<&str> = known.iter().copied().collect();
                detail.push_str(": ");
                detail.push_str(&list.join(", "));
            }
            errors.0.push(FieldError::new(
                FieldErrorKind::NotFound,
                claim.path(),
                name,
                detail,
            ));
        }
    }
}

/// Checks a resource's name and its amount.
fn amount(at: &At<'_, '_>, name: &str, value: &Value, level: Level, errors: &mut Errors) {
    resource_name(at, name, level, errors);
    let Ok(amount) = Quantity::from_value(value) else {
        return;
    };
    if amount.is_negative() {
        let detail = "must be greater than or equal to 0";
        errors.invalid_as(at, amount.to_string(), detail);
    }
    if is_extended(name) && !amount.is_integer() {
        errors.invalid_as(at, amount.to_string(), "must be an integer");
    }
    if let Some(page) = name.strip_prefix(HUGE) {
        let page = Quantity::parse(page).map_or(0, |page| page.value());
        if page <= 0 || amount.value() < page || amount.value() % page != 0 {
            let detail = format!("{amount} is not positive integer multiple of {name}");
            errors.invalid_as(at, amount.to_string(), detail);
        }
    }
}

/// Checks that a resource's name is one of Kubernetes' or has a domain; answers whether it is fine.
pub(crate) fn known_name(at: &At<'_, '_>, name: &str, errors: &mut Errors) -> bool {
    let wrong = names::qualified_name(name);
    let mut fine = wrong.is_empty();
    for detail in wrong {
        errors.invalid_as(at, name, detail);
    }
    if fine && !name.contains('/') && !is_standard(name) {
        fine = false;
        let detail = "must be a standard resource type or fully qualified";
        errors.invalid_as(at, name, detail);
    }
    fine
}

/// Whether a name without a domain is one that Kubernetes knows.
pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with(HUGE) || name.starts_with("requests.hugepages-")
}

/// Checks the name of a resource that a container may ask for.
pub(crate) fn container_name(at: &At<'_, '_>, name: &str, errors: &mut Errors) {
    resource_name(at, name, Level::Container, errors);
}

/// Checks amounts that stand alone, as those of a container's limits.
pub(crate) fn limits(resources: &At<'_, '_>, errors: &mut Errors) {
    let none = At::root(&Value::Null, "");
    validate(resources, &none, Level::Container, errors);
}

fn resource_name(at: &At<'_, '_>, name: &str, level: Level, errors: &mut Errors) {
    let is_plain = !name.contains('/');
    let fine = known_name(at, name, errors);
    let huge = name.starts_with(HUGE);
    match level {
        Level::Pod if fine && !huge && !OF_PODS.contains(&name) => {
            errors
                .0
                .push(FieldError::not_supported(at.path(), name, OF_PODS));
        }
        Level::Container if is_plain && !huge && !OF_CONTAINERS.contains(&name) => {
            errors.invalid_as(at, name, "must be a standard resource for containers");
        }
        Level::Container if !is_native(name) && !is_extended(name) => {
            let detail = "doesn't follow extended resource name standard";
            errors.invalid_as(at, name, detail);
        }
        _ => {}
    }
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains(OWN_DOMAIN)
}

/// A resource of another domain: counted one by one.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Resources of other domains, and huge pages, are counted one by one: limit and request agree.
pub(crate) fn is_overcommitable(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE)
}

/// Checks `resources` of the pod as a whole, and that its containers fit into them.
pub(super) fn validate_pod(spec: &At<'_, '_>, errors: &mut Errors) {
    let resources = spec.field("resources");
    if !resources.is_set() {
        return;
    }
    if spec.field("os").field("name").str() == "windows" {
        errors.forbidden(&resources, "may not be set for a windows pod");
        return;
    }
    if resources.field("claims").is_set() {
        let detail = "claims may not be set for Resources at pod-level";
        errors.forbidden(&resources.field("claims"), detail);
    }
    validate(&resources, spec, Level::Pod, errors);
    let requests = resources.field("requests");
    for (name, sum) in requests_of_all(spec) {
        let own = requests.value.get(&name);
        let Some(own) = own.and_then(|own| Quantity::from_value(own).ok()) else {
            continue;
        };
        if sum > own {
            let detail =
                format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid_as(&requests.key(&name), own.to_string(), detail);
        }
    }
    let limits = resources.field("limits");
    for (index, container) in spec.field("containers").items().enumerate() {
        for (name, limit) in container.field("resources").field("limits").entries() {
            let whole = limits.value.get(name);
            let whole = whole.and_then(|whole| Quantity::from_value(whole).ok());
            let (Some(whole), Ok(limit)) = (whole, Quantity::from_value(limit)) else {
                continue;
            };
            if limit > whole {
                let path = format!("spec.resources.containers[{index}][{name}].limits");
                let detail = format!("must be less than or equal to pod limits of {whole}");
                errors
                    .0
                    .push(FieldError::invalid(path, limit.to_string(), detail));
            }
        }
    }
}

/// What the containers of a pod ask for together: all that run at once, or what an init container
/// needs beside the sidecars before it, if that is more.
fn requests_of_all(spec: &At<'_, '_>) -> BTreeMap<String, Quantity> {
    let mut sum: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut most = sum.clone();
    let add = |to: &mut BTreeMap<String, Quantity>, name: &str, amount: &Quantity| {
        let whole = match to.get(name) {
            Some(before) => before.plus(amount),
            None => *amount,
        };
        to.insert(name.to_owned(), whole);
        whole
    };
    let mut sidecars = sum.clone();
    for container in spec.field("initContainers").items() {
        let is_sidecar = container.field("restartPolicy").str() == "Always";
        for (name, amount) in container.field("resources").field("requests").entries() {
            let Ok(amount) = Quantity::from_value(amount) else {
                continue;
            };
            let at_once = if is_sidecar {
                add(&mut sidecars, name, &amount)
            } else {
                add(&mut sidecars.clone(), name, &amount)
            };
            if most.get(name).is_none_or(|most| at_once > *most) {
                most.insert(name.to_owned(), at_once);
            }
        }
    }
    sum.clone_from(&sidecars);
    for container in spec.field("containers").items() {
        for (name, amount) in container.field("resources").field("requests").entries() {
            if let Ok(amount) = Quantity::from_value(amount) {
                add(&mut sum, name, &amount);
            }
        }
    }
    for (name, amount) in most {
        if sum.get(&name).is_none_or(|sum| amount > *sum) {
            sum.insert(name, amount);
        }
    }
    sum
}
