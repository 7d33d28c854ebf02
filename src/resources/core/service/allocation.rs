//! What a Service is to be given: an address of the cluster, ports of the nodes. Says what it needs
//! and puts in what it gets. Must not know which addresses and ports are free.
//! Kubernetes: `pkg/registry/core/service/storage` alloc.

use super::defaults::{number, uses_health_port, uses_node_ports};
use crate::meta::{FieldError, Object};
use crate::resources::core::pod::defaults::{child, objects};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Why an address or a port is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for cannot be had; the words say why.
    Wrong(String),
    /// Nothing is left.
    Full,
}

/// Why a Service does not get what it needs.
#[derive(Debug)]
pub enum Failure {
    /// It asks for what it cannot have.
    Invalid(FieldError),
    /// Nothing is left.
    Full(&'static str),
}

/// The addresses of the cluster that the Service has or asks for; a headless one has none.
pub fn addresses(service: &Object) -> impl Iterator<Item = &str> {
    let ips = service
        .get(&["spec", "clusterIPs"])
        .and_then(Value::as_array);
    let ips = ips.into_iter().flatten().filter_map(Value::as_str);
    ips.filter(|ip| !ip.is_empty() && *ip != "None")
}

/// Whether it is to have an address and has none yet.
pub fn needs_address(service: &Object) -> bool {
    let given = service.str_at(&["spec", "clusterIP"]);
    service.str_at(&["spec", "type"]) != "ExternalName" && given.is_empty()
}

/// Gives it this address.
pub fn set_address(service: &mut Object, ip: &str) {
    service.set(&["spec", "clusterIP"], json!(ip));
    service.set(&["spec", "clusterIPs"], json!([ip]));
}

/// What is wrong with the families it asks for, in a cluster whose services have IPv4 addresses.
pub fn family_errors(service: &Object) -> Vec<FieldError> {
    let headless = service.str_at(&["spec", "clusterIP"]) == "None";
    let selector = service
        .get(&["spec", "selector"])
        .and_then(Value::as_object);
    let free = headless && selector.is_none_or(Map::is_empty);
    if service.str_at(&["spec", "type"]) == "ExternalName" || free {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let policy = service.str_at(&["spec", "ipFamilyPolicy"]);
    if policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy, why));
    }
    let families = service
        .get(&["spec", "ipFamilies"])
        .and_then(Value::as_array);
    let families = families.into_iter().flatten().filter_map(Value::as_str);
    for (index, family) in families.enumerate().filter(|(_, family)| *family != "IPv4") {
        let path = format!("spec.ipFamilies[{index}]");
        errors.push(FieldError::invalid(
            &path,
            family,
            "not configured on this cluster",
        ));
    }
    errors
}

/// The ports of the nodes that the Service has.
pub fn node_ports(service: &Object) -> Vec<i64> {
    if !uses_node_ports(service) {
        return Vec::new();
    }
    let ports = service.get(&["spec", "ports"]).and_then(Value::as_array);
    let ports = ports.into_iter().flatten().filter_map(Value::as_object);
    let ports = ports.map(|port| number(port, "nodePort"));
    let health = service.get(&["spec", "healthCheckNodePort"]);
    let health = health.and_then(Value::as_i64).unwrap_or(0);
    ports.chain([health]).filter(|port| *port != 0).collect()
}

/// Whether it uses ports of the nodes at all.
pub fn needs_node_ports(service: &Object) -> bool {
    uses_node_ports(service)
}

/// Gives it ports of the nodes: those that it asks for and any where it asks for none. `own` it has
/// already; `take` gives one, the one asked for if it is one.
pub fn give_node_ports(
    service: &mut Object,
    own: &[i64],
    take: &mut dyn FnMut(Option<i64>) -> Result<i64, Refusal>,
) -> Result<(), Failure> {
    if !uses_node_ports(service) {
        return Ok(());
    }
    let given = service.get(&["spec", "allocateLoadBalancerNodePorts"]);
    let any = given != Some(&json!(false));
    let health = uses_health_port(service);
    let Some(spec) = child(service.fields_mut(), "spec") else {
        return Ok(());
    };
    let asked: Vec<(i64, i64)> = objects(spec, "ports")
        .map(|port| (number(port, "port"), number(port, "nodePort")))
        .collect();
    let mut have = own.to_vec();
    // The same port of another protocol has the same port on the nodes.
    let mut by_port: BTreeMap<i64, i64> = BTreeMap::new();
    for (port, node) in asked.iter().filter(|(_, node)| *node != 0) {
        by_port.entry(*port).or_insert(*node);
    }
    for (index, port) in objects(spec, "ports").enumerate() {
        let wanted = number(port, "nodePort");
        let service_port = number(port, "port");
        let wanted = match (wanted, by_port.get(&service_port)) {
            (0, _) if !any => continue,
            (0, Some(same)) => *same,
            (wanted, _) => wanted,
        };
        let path = format!("spec.ports[{index}].nodePort");
        let got = one(
            &path,
            wanted,
            &mut have,
            take,
            "failed to allocate a nodePort",
        )?;
        by_port.entry(service_port).or_insert(got);
        port.insert("nodePort".to_owned(), json!(got));
    }
    if health {
        let wanted = number(spec, "healthCheckNodePort");
        let what = "failed to allocate a HealthCheck NodePort";
        let got = one("spec.healthCheckNodePort", wanted, &mut have, take, what)?;
        spec.insert("healthCheckNodePort".to_owned(), json!(got));
    }
    Ok(())
}

fn one(
    path: &str,
    wanted: i64,
    have: &mut Vec<i64>,
    take: &mut dyn FnMut(Option<i64>) -> Result<i64, Refusal>,
    what: &'static str,
) -> Result<i64, Failure> {
    if have.contains(&wanted) {
        return Ok(wanted);
    }
    let got = take((wanted != 0).then_some(wanted)).map_err(|refusal| match refusal {
        Refusal::Wrong(why) => Failure::Invalid(FieldError::invalid(path, wanted, why)),
        Refusal::Full => Failure::Full(what),
    })?;
    have.push(got);
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap()
    }

    fn given(spec: Value, own: &[i64]) -> (Value, Vec<Option<i64>>) {
        let mut service = service(spec);
        let (mut asked, mut next) = (Vec::new(), 30_100);
        let done = give_node_ports(&mut service, own, &mut |wanted| {
            asked.push(wanted);
            next += 1;
            Ok(wanted.unwrap_or(next))
        });
        assert!(done.is_ok());
        (service.get(&["spec"]).unwrap().clone(), asked)
    }

    #[test]
    fn ports_are_given_once_for_all_protocols_of_a_port() {
        let (spec, asked) = given(
            json!({"type": "NodePort", "ports": [
                {"name": "a", "port": 53, "protocol": "UDP"},
                {"name": "b", "port": 53, "protocol": "TCP"},
                {"name": "c", "port": 80},
                {"name": "d", "port": 81, "nodePort": 30_001},
            ]}),
            &[30_001],
        );
        let ports: Vec<_> = spec["ports"].as_array().unwrap().iter().collect();
        assert_eq!(ports[0]["nodePort"], ports[1]["nodePort"]);
        assert_eq!(ports[3]["nodePort"], 30_001, "it has that already");
        assert_eq!(asked, [None, None]);
    }

    #[test]
    fn a_balanced_service_may_go_without_and_may_have_one_for_its_health() {
        let (spec, asked) = given(
            json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
                "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}),
            &[],
        );
        assert_eq!(asked, [None]);
        assert_eq!(spec["ports"][0].get("nodePort"), None);
        assert_eq!(spec["healthCheckNodePort"], 30_101);
    }

    #[test]
    fn one_family_is_there() {
        let errors = family_errors(&service(json!({"type": "ClusterIP",
            "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]})));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not \
                 configured for dual-stack services",
                "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster",
            ]
        );
    }
}
