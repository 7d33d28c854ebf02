//! The defaults of a Service. Must not give out addresses or ports.
//! Kubernetes: `pkg/apis/core/v1` SetDefaults_Service, `pkg/registry/core/service`.

use crate::meta::Object;
use crate::resources::core::pod::defaults::{child, objects, set, set_null};
use serde_json::{Map, Value, json};

/// How long a client stays with its pod (seconds).
const AFFINITY_SECONDS: u32 = 3 * 60 * 60;

/// Defaults of a Service.
pub(super) fn default_service(service: &mut Object) {
    let Some(spec) = child(service.fields_mut(), "spec") else {
        return;
    };
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "type", json!("ClusterIP"));
    if text(spec, "sessionAffinity") == "ClientIP" {
        if let Some(config) = child(spec, "sessionAffinityConfig")
            && let Some(client) = child(config, "clientIP")
        {
            set_null(client, "timeoutSeconds", json!(AFFINITY_SECONDS));
        }
    } else {
        spec.remove("sessionAffinityConfig");
    }
    for port in objects(spec, "ports") {
        set(port, "protocol", json!("TCP"));
        let target = port.get("targetPort");
        if target.is_none_or(|t| *t == json!(0) || *t == json!(""))
            && let Some(number) = port.get("port").cloned()
        {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set_null(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set_null(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

/// `clusterIP` is the first of `clusterIPs`; a Service with an address says of which family.
/// Kubernetes: `pkg/registry/core/service/storage` initIPFamilyFields, with one family.
pub(super) fn addresses(service: &mut Object) {
    let Some(spec) = child(service.fields_mut(), "spec") else {
        return;
    };
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let one = text(spec, "clusterIP").to_owned();
    if !one.is_empty() {
        set_null(spec, "clusterIPs", json!([one]));
    }
    let selects = spec.get("selector").and_then(Value::as_object);
    let selects = selects.is_some_and(|selector| !selector.is_empty());
    // Whoever fills in its endpoints may have any family.
    let free = text(spec, "clusterIP") == "None" && !selects;
    let policy = if free {
        "RequireDualStack"
    } else {
        "SingleStack"
    };
    set_null(spec, "ipFamilyPolicy", json!(policy));
    let both = free && text(spec, "ipFamilyPolicy") != "SingleStack";
    let family = if one.contains(':') { "IPv6" } else { "IPv4" };
    set_null(spec, "ipFamilies", json!([family]));
    if let Some(Value::Array(families)) = spec.get_mut("ipFamilies")
        && both
        && families.len() == 1
    {
        let v4 = families.first().is_some_and(|first| first == "IPv4");
        families.push(json!(if v4 { "IPv6" } else { "IPv4" }));
    }
}

/// What was given out stays, where the update leaves it out and still needs it.
/// Kubernetes: `pkg/registry/core/service/storage` patchAllocatedValues.
pub(super) fn carry_over(new: &mut Object, old: &Object) {
    let (now, before) = (new.clone(), old);
    let Some(old_spec) = old.get(&["spec"]).and_then(Value::as_object) else {
        return;
    };
    let Some(spec) = child(new.fields_mut(), "spec") else {
        return;
    };
    if !is_external_name(&now) && !is_external_name(before) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let missing =
                text(spec, field).is_empty() && !spec.get(field).is_some_and(Value::is_array);
            if let Some(value) = old_spec.get(field).filter(|_| missing) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }
    if uses_node_ports(&now) && uses_node_ports(before) {
        keep_node_ports(spec, old_spec);
    }
    let field = "healthCheckNodePort";
    if uses_health_port(&now) && uses_health_port(before) && number(spec, field) == 0 {
        spec.remove(field);
        if let Some(port) = old_spec.get(field) {
            spec.insert(field.to_owned(), port.clone());
        }
    }
}

fn keep_node_ports(spec: &mut Map<String, Value>, old: &Map<String, Value>) {
    let olds = old.get("ports").and_then(Value::as_array);
    let olds: Vec<&Map<String, Value>> = olds
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    let news: Vec<i64> = objects(spec, "ports")
        .map(|port| number(port, "nodePort"))
        .collect();
    for port in objects(spec, "ports") {
        if number(port, "nodePort") != 0 {
            continue;
        }
        // Ports are known by their names; a node port that stands elsewhere now is not given twice.
        let same = olds
            .iter()
            .find(|old| text(old, "name") == text(port, "name"));
        let kept = same.map_or(0, |old| number(old, "nodePort"));
        if kept != 0 && !news.contains(&kept) {
            port.insert("nodePort".to_owned(), json!(kept));
        }
    }
}

/// A client that knows only `clusterIP` changes or clears `clusterIPs` with it.
/// Kubernetes: `pkg/registry/core/service/storage` normalizeClusterIPs.
pub(super) fn agree(new: &mut Object, old: &Object) {
    let ips = ["spec", "clusterIPs"];
    let (now, before) = (["spec", "clusterIP"], old.str_at(&["spec", "clusterIP"]));
    let now = new.str_at(&now).to_owned();
    if now == before || new.get(&ips) != old.get(&ips) {
        return;
    }
    if now.is_empty() {
        new.remove(&ips);
    } else {
        new.set(&ips, json!([now]));
    }
}

/// What the new type has no use for goes, where the update did not touch it itself.
/// Kubernetes: `pkg/registry/core/service` dropTypeDependentFields.
pub(super) fn drop_useless(new: &mut Object, old: &Object) {
    let now = new.clone();
    let Some(old_spec) = old.get(&["spec"]).and_then(Value::as_object) else {
        return;
    };
    let Some(spec) = child(new.fields_mut(), "spec") else {
        return;
    };
    let mut drop_same = |fields: &[&str]| {
        if fields
            .iter()
            .all(|field| spec.get(*field) == old_spec.get(*field))
        {
            for field in fields {
                spec.remove(*field);
            }
        }
    };
    if !is_external_name(old) && is_external_name(&now) {
        drop_same(&["clusterIP", "clusterIPs"]);
        drop_same(&["ipFamilies"]);
        drop_same(&["ipFamilyPolicy"]);
    }
    if uses_health_port(old) && !uses_health_port(&now) {
        drop_same(&["healthCheckNodePort"]);
    }
    if is_load_balancer(old) && !is_load_balancer(&now) {
        drop_same(&["allocateLoadBalancerNodePorts"]);
        drop_same(&["loadBalancerClass"]);
    }
    if uses_node_ports(old) && !uses_node_ports(&now) {
        drop_same(&["externalTrafficPolicy"]);
        let olds = old_spec.get("ports").and_then(Value::as_array);
        let olds = olds.into_iter().flatten().filter_map(Value::as_object);
        let mut olds: Vec<i64> = olds.map(|port| number(port, "nodePort")).collect();
        let news = objects(spec, "ports").map(|port| number(port, "nodePort"));
        let mut news: Vec<i64> = news.collect();
        olds.sort_unstable();
        news.sort_unstable();
        if olds == news {
            objects(spec, "ports").for_each(|port| {
                port.remove("nodePort");
            });
        }
    }
    if !is_load_balancer(&now) {
        new.set(&["status", "loadBalancer"], json!({}));
    }
}

fn kind(service: &Object) -> &str {
    service.str_at(&["spec", "type"])
}

fn is_external_name(service: &Object) -> bool {
    kind(service) == "ExternalName"
}

fn is_load_balancer(service: &Object) -> bool {
    kind(service) == "LoadBalancer"
}

/// Whether its ports have ports on the nodes.
pub(super) fn uses_node_ports(service: &Object) -> bool {
    matches!(kind(service), "NodePort" | "LoadBalancer")
}

/// Whether whoever balances asks a port of the node whether it has pods.
pub(super) fn uses_health_port(service: &Object) -> bool {
    is_load_balancer(service) && service.str_at(&["spec", "externalTrafficPolicy"]) == "Local"
}

/// A number; what is missing is 0.
pub(super) fn number(of: &Map<String, Value>, field: &str) -> i64 {
    of.get(field).and_then(Value::as_i64).unwrap_or(0)
}

fn text<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a str {
    spec.get(field).and_then(Value::as_str).unwrap_or_default()
}
