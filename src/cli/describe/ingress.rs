//! Ingresses, with the endpoints of their backends. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, joined, list, number, or_none, pairs};
use super::{Scene, service};
use crate::meta::GroupVersionResource;
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    let namespace = at(object, "/metadata/namespace");
    out.field(0, "Name", at(object, "/metadata/name"));
    out.column("Labels", &pairs(object.pointer("/metadata/labels")));
    out.field(0, "Namespace", namespace);
    let places = list(object, "/status/loadBalancer/ingress").iter();
    let places = places.map(|place| match at(place, "/ip") {
        "" => at(place, "/hostname"),
        ip => ip,
    });
    let mut places: Vec<&str> = places.filter(|place| !place.is_empty()).collect();
    places.sort_unstable();
    places.dedup();
    out.field(0, "Address", places.join(","));
    let class = at(object, "/spec/ingressClassName");
    out.field(0, "Ingress Class", or_none(class));
    let default = match object.pointer("/spec/defaultBackend") {
        Some(backend) => backend_text(scene, namespace, backend).await,
        None => "<default>".to_owned(),
    };
    out.field(0, "Default backend", &default);
    describe_tls(list(object, "/spec/tls"), out);
    out.line(0, "Rules:");
    out.line(1, "Host\tPath\tBackends");
    out.line(1, "----\t----\t--------");
    let rules = list(object, "/spec/rules").iter();
    let rules: Vec<&Value> = rules.filter(|rule| rule.get("http").is_some()).collect();
    for rule in &rules {
        let host = match at(rule, "/host") {
            "" => "*",
            host => host,
        };
        out.line(1, format!("{host}\t"));
        for path in list(rule, "/http/paths") {
            let backend = path.get("backend").unwrap_or(&Value::Null);
            let backend = backend_text(scene, namespace, backend).await;
            out.line(2, format!("\t{} \t{backend}", at(path, "/path")));
        }
    }
    if rules.is_empty() {
        out.line(1, format!("*\t*\t{default}"));
    }
    out.annotations("Annotations", object.pointer("/metadata/annotations"));
}

fn describe_tls(entries: &[Value], out: &mut Text) {
    if entries.is_empty() {
        return;
    }
    out.line(0, "TLS:");
    for entry in entries {
        let hosts = joined(entry, "/hosts");
        let line = match at(entry, "/secretName") {
            "" => format!("SNI routes {hosts}"),
            secret => format!("{secret} terminates {hosts}"),
        };
        out.line(1, line);
    }
}

/// A backend and what stands behind it.
async fn backend_text(scene: &Scene<'_>, namespace: &str, backend: &Value) -> String {
    if let Some(resource) = backend.get("resource") {
        let group = or_none(at(resource, "/apiGroup"));
        let (kind, name) = (at(resource, "/kind"), at(resource, "/name"));
        return format!("APIGroup: {group}, Kind: {kind}, Name: {name}");
    }
    let Some(wanted) = backend.get("service") else {
        return String::new();
    };
    let name = at(wanted, "/name");
    let port = number(wanted, "/port/number").filter(|port| port != "0");
    let port = port.unwrap_or_else(|| at(wanted, "/port/name").to_owned());
    let shown = format!("{name}:{port}");
    let services = GroupVersionResource::new("", "v1", "services");
    let found = scene.client.get::<Value>(&services, namespace, name).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => return format!("{shown} (<error: {error}>)"),
    };
    let ports = list(&found, "/spec/ports").iter();
    let mut ports = ports.filter(|own| {
        number(own, "/port").is_some_and(|number| number == port) || at(own, "/name") == port
    });
    let port_name = ports.next_back().map_or("", |port| at(port, "/name"));
    let slices = service::slices(scene, &found).await;
    format!("{shown} ({})", service::endpoints(&slices, port_name))
}
