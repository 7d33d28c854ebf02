//! What an object uses of a quota, and whether the quota counts it. Must not know what is used already.
//! Kubernetes: `pkg/quota/v1/evaluator/core`, apiserver `quota/v1/generic`.

use crate::meta::quantity::{Format, Quantity};
use crate::meta::{GroupResource, Object};
use crate::resources::core::pod::sums::{Amounts, Side, add, amounts, of_container, of_pod};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names of plain amounts that pods use, beside `requests.` and `limits.`.
const OF_PODS: &[&str] = &["pods", "cpu", "memory", "ephemeral-storage"];
/// What each container must ask for if a quota limits it.
const DEMANDED: &[&str] = &[
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];
/// Resources of the core group that a quota counts by their own name.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// The resource, as `count/` names it, whose objects use the amount of this name.
pub fn counted_by(name: &str) -> &str {
    if let Some(resource) = name.strip_prefix("count/") {
        return resource;
    }
    if COUNTED.contains(&name) {
        return name;
    }
    if name.starts_with("services.") {
        return "services";
    }
    if name == "requests.storage" || name.contains(OF_CLASS) {
        return "persistentvolumeclaims";
    }
    "pods"
}

/// What one object uses.
pub fn usage(of: &GroupResource, object: &Object) -> Amounts {
    let (group, plural) = (of.group.as_str(), of.resource.as_str());
    let mut used = Amounts::new();
    let mut count = |name: String| {
        used.insert(name, one());
    };
    count(format!("count/{of}"));
    if group.is_empty() && COUNTED.contains(&plural) {
        count(plural.to_owned());
    }
    match (group, plural) {
        ("", "pods") => of_a_pod(object, &mut used),
        ("", "services") => of_a_service(object, &mut used),
        ("", "persistentvolumeclaims") => of_a_claim(object, &mut used),
        _ => {}
    }
    used
}

fn one() -> Quantity {
    Quantity::from_units(1, Format::DecimalSi)
}

/// A pod that has ended uses nothing.
fn of_a_pod(pod: &Object, used: &mut Amounts) {
    if matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed") {
        return;
    }
    used.insert("pods".to_owned(), one());
    let spec = pod.get(&["spec"]).unwrap_or(&Value::Null);
    let overhead = amounts(spec.get("overhead"));
    let mut requests = of_pod(spec, Side::Requests);
    let mut limits = of_pod(spec, Side::Limits);
    add(&mut requests, &overhead);
    // Overhead raises the limits that there are.
    let limited: Amounts = overhead
        .into_iter()
        .filter(|(name, _)| limits.contains_key(name))
        .collect();
    add(&mut limits, &limited);
    used.extend(named(&requests, &limits));
}

/// Amounts by the names that a quota knows them by.
fn named(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = Amounts::new();
    for (name, amount) in requests {
        let plain = OF_PODS.contains(&name.as_str()) || name.starts_with("hugepages-");
        if plain {
            used.insert(name.clone(), *amount);
        }
        if plain || name.contains('/') {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    for (name, amount) in limits {
        if OF_PODS.contains(&name.as_str()) {
            used.insert(format!("limits.{name}"), *amount);
        }
    }
    used
}

fn of_a_service(service: &Object, used: &mut Amounts) {
    let kind = service.str_at(&["spec", "type"]);
    let ports = service.get(&["spec", "ports"]).and_then(Value::as_array);
    let ports = ports.map_or(0, Vec::len);
    let ports = Quantity::from_units(i64::try_from(ports).unwrap_or(i64::MAX), Format::DecimalSi);
    let balanced = kind == "LoadBalancer";
    let unwanted =
        service.get(&["spec", "allocateLoadBalancerNodePorts"]) == Some(&Value::Bool(false));
    if kind == "NodePort" || (balanced && !unwanted) {
        used.insert("services.nodeports".to_owned(), ports);
    }
    if balanced {
        used.insert("services.loadbalancers".to_owned(), one());
    }
}

fn of_a_claim(claim: &Object, used: &mut Amounts) {
    let class = claim
        .annotation("volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| claim.str_at(&["spec", "storageClassName"]));
    let of_class = |name: &str| (!class.is_empty()).then(|| format!("{class}{OF_CLASS}{name}"));
    used.extend(of_class("persistentvolumeclaims").map(|name| (name, one())));
    let requests = amounts(claim.get(&["spec", "resources", "requests"]));
    if let Some(storage) = requests.get("storage") {
        used.insert("requests.storage".to_owned(), *storage);
        used.extend(of_class("requests.storage").map(|name| (name, *storage)));
    }
}

/// Whether the resource is that of pods.
pub fn is_pods(of: &GroupResource) -> bool {
    of.group.is_empty() && of.resource == "pods"
}

/// Whether the quota's scopes are the object's. Only pods have any.
pub fn is_in_scope(quota: &Object, of: &GroupResource, object: &Object) -> bool {
    let spec = |field: &[&str]| {
        let list = quota.get(field).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut flags = spec(&["spec", "scopes"]).filter_map(Value::as_str);
    let mut selectors = spec(&["spec", "scopeSelector", "matchExpressions"]);
    let holds = |scope: &str, operator: &str, values: &[&str]| {
        is_pods(of) && pod_scope(object, scope, operator, values)
    };
    flags.all(|scope| holds(scope, "Exists", &[]))
        && selectors.all(|selector| {
            let values = selector.get("values").and_then(Value::as_array);
            let values: Vec<&str> = values
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            holds(
                &text(selector, "scopeName"),
                &text(selector, "operator"),
                &values,
            )
        })
}

fn pod_scope(pod: &Object, scope: &str, operator: &str, values: &[&str]) -> bool {
    let deadline = pod.get(&["spec", "activeDeadlineSeconds"]).is_some();
    let best_effort = pod.str_at(&["status", "qosClass"]) == "BestEffort";
    match scope {
        "Terminating" => deadline,
        "NotTerminating" => !deadline,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = pod.str_at(&["spec", "priorityClassName"]);
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

/// Whether a term of its affinities speaks of other namespaces.
fn crosses_namespaces(pod: &Object) -> bool {
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = pod.get(&["spec", "affinity", kind]);
        let terms = |name: &str| {
            let list = affinity.and_then(|a| a.get(name)).and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let preferred = terms("preferredDuringSchedulingIgnoredDuringExecution");
        let preferred = preferred.iter().filter_map(|t| t.get("podAffinityTerm"));
        let required = terms("requiredDuringSchedulingIgnoredDuringExecution");
        required.iter().chain(preferred).any(|term| {
            let named = term.get("namespaces").and_then(Value::as_array);
            named.is_some_and(|list| !list.is_empty()) || term.get("namespaceSelector").is_some()
        })
    })
}

/// What the containers of a pod must ask for, because the quota limits it, and do not:
/// `must specify cpu for: a,b; memory for: a`.
pub fn missing<'a>(hard: impl Iterator<Item = &'a str>, pod: &Object) -> Option<String> {
    let spec = pod.get(&["spec"]).unwrap_or(&Value::Null);
    let whole = named(
        &of_container(spec, Side::Requests),
        &of_container(spec, Side::Limits),
    );
    let demanded: Vec<&str> = hard
        .filter(|name| DEMANDED.contains(name) && !whole.contains_key(*name))
        .collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for list in ["containers", "initContainers"] {
        let containers = spec.get(list).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let asked = named(
                &of_container(container, Side::Requests),
                &of_container(container, Side::Limits),
            );
            let name = container.get("name").and_then(Value::as_str);
            for demand in demanded.iter().filter(|name| !asked.contains_key(**name)) {
                missing
                    .entry(demand)
                    .or_default()
                    .insert(name.unwrap_or_default());
            }
        }
    }
    if missing.is_empty() {
        return None;
    }
    let parts = missing.into_iter().map(|(name, containers)| {
        let containers: Vec<&str> = containers.into_iter().collect();
        format!("{name} for: {}", containers.join(","))
    });
    Some(format!(
        "must specify {}",
        parts.collect::<Vec<_>>().join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    fn resource(group: &str, resource: &str) -> GroupResource {
        let (group, resource) = (group.to_owned(), resource.to_owned());
        GroupResource { group, resource }
    }

    fn used_by(group: &str, name: &str, object: &Object) -> Amounts {
        usage(&resource(group, name), object)
    }

    fn told(used: Amounts) -> String {
        let parts = used.iter().map(|(name, amount)| format!("{name}={amount}"));
        parts.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn objects_use_what_kubernetes_counts() {
        let pod = json!({"spec": {
            "containers": [{"name": "a", "resources": {
                "requests": {"cpu": "100m", "example.com/gpu": "2"},
                "limits": {"memory": "1Gi"},
            }}],
            "overhead": {"cpu": "10m"},
        }});
        assert_eq!(
            told(used_by("", "pods", &of(pod.clone()))),
            "count/pods=1,cpu=110m,limits.memory=1Gi,pods=1,requests.cpu=110m,\
             requests.example.com/gpu=2"
        );
        let mut ended = pod;
        ended["status"] = json!({"phase": "Succeeded"});
        assert_eq!(told(used_by("", "pods", &of(ended))), "count/pods=1");
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        assert_eq!(
            told(used_by("", "services", &of(service))),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
        );
        let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "2Gi"}}}});
        assert_eq!(
            told(used_by("", "persistentvolumeclaims", &of(claim))),
            "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
             gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,\
             requests.storage=2Gi"
        );
        assert_eq!(
            told(used_by("apps", "deployments", &of(json!({})))),
            "count/deployments.apps=1"
        );
        for (name, resource) in [
            ("count/deployments.apps", "deployments.apps"),
            ("limits.cpu", "pods"),
            ("requests.storage", "persistentvolumeclaims"),
            ("services.nodeports", "services"),
            ("secrets", "secrets"),
        ] {
            assert_eq!(counted_by(name), resource);
        }
    }

    #[test]
    fn scopes_choose_pods() {
        let quota = |spec: Value| of(json!({"spec": spec}));
        let pod = of(json!({
            "spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high"},
            "status": {"qosClass": "BestEffort"},
        }));
        let fits = |spec: Value| is_in_scope(&quota(spec), &resource("", "pods"), &pod);
        assert!(fits(json!({})));
        assert!(fits(json!({"scopes": ["Terminating", "BestEffort"]})));
        assert!(!fits(json!({"scopes": ["NotTerminating"]})));
        let selector = |operator: &str| {
            json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]},
            ]}})
        };
        assert!(fits(selector("In")));
        assert!(!fits(selector("NotIn")));
        let scoped = quota(json!({"scopes": ["BestEffort"]}));
        assert!(!is_in_scope(&scoped, &resource("", "services"), &pod));
    }

    #[test]
    fn containers_must_ask_for_what_is_limited() {
        let pod = of(json!({"spec": {"containers": [
            {"name": "b", "resources": {"requests": {"cpu": "1"}}},
            {"name": "a"},
        ]}}));
        assert_eq!(
            missing(["cpu", "limits.memory", "pods"].into_iter(), &pod).unwrap(),
            "must specify cpu for: a; limits.memory for: a,b"
        );
        assert_eq!(missing(["pods"].into_iter(), &pod), None);
    }
}
