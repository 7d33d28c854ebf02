//! EndpointSlices. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, number, or_none};
use serde_json::Value;

/// What stands for what is not set.
const UNSET: &str = "<unset>";

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.metadata(object);
    out.field(0, "AddressType", at(object, "/addressType"));
    let ports = list(object, "/ports");
    if ports.is_empty() {
        out.line(0, "Ports: <unset>");
    } else {
        out.line(0, "Ports:");
        out.line(1, "Name\tPort\tProtocol");
        out.line(1, "----\t----\t--------");
    }
    for port in ports {
        let shown = number(port, "/port");
        let shown = shown.as_deref().unwrap_or(UNSET);
        let line = [or_unset(at(port, "/name")), shown, at(port, "/protocol")];
        out.line(1, line.join("\t"));
    }
    let endpoints = list(object, "/endpoints");
    if endpoints.is_empty() {
        out.line(0, "Endpoints: <none>");
    } else {
        out.line(0, "Endpoints:");
    }
    for endpoint in endpoints {
        describe_endpoint(endpoint, out);
    }
}

fn describe_endpoint(endpoint: &Value, out: &mut Text) {
    let addresses = list(endpoint, "/addresses").iter();
    let addresses: Vec<&str> = addresses.filter_map(Value::as_str).collect();
    out.field(1, "- Addresses", or_none(&addresses.join(", ")));
    out.line(2, "Conditions:");
    let ready = endpoint.pointer("/conditions/ready");
    let ready = ready
        .and_then(Value::as_bool)
        .map(|ready| ready.to_string());
    out.field(3, "Ready", ready.as_deref().unwrap_or(UNSET));
    out.field(2, "Hostname", or_unset(at(endpoint, "/hostname")));
    if let Some(target) = endpoint.get("targetRef") {
        let target = format!("{}/{}", at(target, "/kind"), at(target, "/name"));
        out.field(2, "TargetRef", target);
    }
    out.field(2, "NodeName", or_unset(at(endpoint, "/nodeName")));
    out.field(2, "Zone", or_unset(at(endpoint, "/zone")));
}

fn or_unset(text: &str) -> &str {
    if text.is_empty() { UNSET } else { text }
}
