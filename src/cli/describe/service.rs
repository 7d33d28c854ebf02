//! Services, with the endpoints behind their ports. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, joined, list, number, or_none, pairs};
use crate::client::Query;
use serde_json::Value;

/// Endpoints of a port that are named; the others are counted.
const ENDPOINTS_MAX: usize = 3;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    let spec = |field: &str| at(object, &format!("/spec/{field}"));
    out.metadata(object);
    let selector = pairs(object.pointer("/spec/selector")).join(",");
    out.field(0, "Selector", or_none(&selector));
    out.field(0, "Type", spec("type"));
    out.field_if(0, "IP Family Policy", spec("ipFamilyPolicy"));
    out.field(
        0,
        "IP Families",
        or_none(&joined(object, "/spec/ipFamilies")),
    );
    out.field(0, "IP", spec("clusterIP"));
    out.field(0, "IPs", or_none(&joined(object, "/spec/clusterIPs")));
    out.field_if(0, "External IPs", joined(object, "/spec/externalIPs"));
    out.field_if(0, "Desired LoadBalancer IP", spec("loadBalancerIP"));
    out.field_if(0, "External Name", spec("externalName"));
    let ingress = list(object, "/status/loadBalancer/ingress").iter();
    let ingress = ingress.map(|ingress| match at(ingress, "/ip") {
        "" => at(ingress, "/hostname").to_owned(),
        ip => match at(ingress, "/ipMode") {
            "" => ip.to_owned(),
            mode => format!("{ip} ({mode})"),
        },
    });
    out.field_if(
        0,
        "LoadBalancer Ingress",
        ingress.collect::<Vec<_>>().join(", "),
    );
    let slices = slices(scene, object).await;
    for port in list(object, "/spec/ports") {
        describe_port(port, &slices, out);
    }
    out.field(0, "Session Affinity", spec("sessionAffinity"));
    out.field_if(0, "External Traffic Policy", spec("externalTrafficPolicy"));
    out.field_if(0, "Internal Traffic Policy", spec("internalTrafficPolicy"));
    let health = number(object, "/spec/healthCheckNodePort");
    out.field_if(0, "HealthCheck NodePort", health.unwrap_or_default());
    let ranges = joined(object, "/spec/loadBalancerSourceRanges");
    out.field_if(0, "LoadBalancer Source Ranges", ranges);
    out.field_if(0, "Traffic Distribution", spec("trafficDistribution"));
}

/// The EndpointSlices of a Service.
pub(super) async fn slices(scene: &Scene<'_>, object: &Value) -> Vec<Value> {
    let selector = format!(
        "kubernetes.io/service-name={}",
        at(object, "/metadata/name")
    );
    let query = Query::new().with("labelSelector", &selector);
    let resource = ("discovery.k8s.io", "v1", "endpointslices");
    let namespace = at(object, "/metadata/namespace");
    let slices = scene.list(resource, namespace, &query).await;
    slices.unwrap_or_default()
}

fn describe_port(port: &Value, slices: &[Value], out: &mut Text) {
    let name = match at(port, "/name") {
        "" => "<unset>",
        name => name,
    };
    let protocol = at(port, "/protocol");
    let shown = |pointer: &str| number(port, pointer).unwrap_or_default();
    out.line(0, format!("Port:\t{name}\t{}/{protocol}", shown("/port")));
    let target = match at(port, "/targetPort") {
        "" => shown("/targetPort"),
        name => name.to_owned(),
    };
    out.field(0, "TargetPort", format!("{target}/{protocol}"));
    if let Some(node_port) = number(port, "/nodePort").filter(|port| port != "0") {
        out.line(0, format!("NodePort:\t{name}\t{node_port}/{protocol}"));
    }
    out.field(0, "Endpoints", endpoints(slices, at(port, "/name")));
}

/// The ready addresses behind a port of this name.
pub(super) fn endpoints(slices: &[Value], name: &str) -> String {
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let mut found = Vec::new();
    for slice in slices {
        let ready = list(slice, "/endpoints").iter().filter(|endpoint| {
            let ready = endpoint.pointer("/conditions/ready");
            ready.and_then(Value::as_bool).unwrap_or(true)
        });
        let addresses: Vec<&str> = ready.map(|endpoint| at(endpoint, "/addresses/0")).collect();
        let ports = list(slice, "/ports");
        if ports.is_empty() {
            // Kubernetes: a headless Service need not have ports.
            found.extend(addresses.iter().map(|address| (*address).to_owned()));
        }
        for port in ports.iter().filter(|port| at(port, "/name") == name) {
            let port = number(port, "/port").unwrap_or_default();
            found.extend(addresses.iter().map(|address| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            }));
        }
    }
    let more = found.len().saturating_sub(ENDPOINTS_MAX);
    found.truncate(ENDPOINTS_MAX);
    match more {
        0 => found.join(","),
        more => format!("{} + {more} more...", found.join(",")),
    }
}
