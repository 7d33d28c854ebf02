//! The defaults of a Service, and what an update that leaves something out keeps. Must not give
//! out addresses or ports.
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
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set_null(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

/// `clusterIP` is the first of `clusterIPs`; a Service with an address says of which family.
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
    } else if let Some(first) = spec.get("clusterIPs").and_then(|ips| ips.get(0)).cloned() {
        spec.insert("clusterIP".to_owned(), first);
    }
    set(spec, "ipFamilyPolicy", json!("SingleStack"));
    let family = if one.contains(':') { "IPv6" } else { "IPv4" };
    set_null(spec, "ipFamilies", json!([family]));
}

/// What was given out stays, where the update leaves it out and still needs it.
pub(super) fn carry_over(new: &mut Object, old: &Object) {
    let kinds = [&*new, old].map(|service| service.str_at(&["spec", "type"]).to_owned());
    let [now, before] = kinds;
    let Some(old_spec) = old.get(&["spec"]).and_then(Value::as_object) else {
        return;
    };
    let Some(spec) = child(new.fields_mut(), "spec") else {
        return;
    };
    if now != "ExternalName" && before != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let missing =
                text(spec, field).is_empty() && !spec.get(field).is_some_and(Value::is_array);
            if let Some(value) = old_spec.get(field).filter(|_| missing) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }
    let uses_nodes = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    if uses_nodes(&now) && uses_nodes(&before) {
        keep_node_ports(spec, old_spec);
    }
}

fn keep_node_ports(spec: &mut Map<String, Value>, old: &Map<String, Value>) {
    let olds = old.get("ports").and_then(Value::as_array);
    for port in objects(spec, "ports") {
        let given = port.get("nodePort").and_then(Value::as_i64);
        if given.unwrap_or(0) != 0 {
            continue;
        }
        let same = |old: &&Value| {
            old.get("port") == port.get("port") && old.get("protocol") == port.get("protocol")
        };
        let old = olds.into_iter().flatten().find(same);
        if let Some(number) = old.and_then(|old| old.get("nodePort")).cloned() {
            port.insert("nodePort".to_owned(), number);
        }
    }
}

fn text<'a>(spec: &'a Map<String, Value>, field: &str) -> &'a str {
    spec.get(field).and_then(Value::as_str).unwrap_or_default()
}
