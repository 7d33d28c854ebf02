//! NetworkPolicies. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, list, number, or_none};
use super::workload::{number_or_text, selector_or_none};
use crate::meta::time::parse;
use serde_json::Value;

/// The words of one direction of traffic.
struct Direction {
    policy_type: &'static str,
    name: &'static str,
    rules: &'static str,
    peers: &'static str,
    peer: &'static str,
    end: &'static str,
}

const DIRECTIONS: [Direction; 2] = [
    Direction {
        policy_type: "Ingress",
        name: "ingress",
        rules: "/spec/ingress",
        peers: "/from",
        peer: "From",
        end: "source",
    },
    Direction {
        policy_type: "Egress",
        name: "egress",
        rules: "/spec/egress",
        peers: "/to",
        peer: "To",
        end: "destination",
    },
];

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let created = parse(at(object, "/metadata/creationTimestamp"));
    let created = created.map(|time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    out.field(0, "Created on", created.unwrap_or_default());
    out.labels_and_annotations(object);
    out.line(0, "Spec:");
    let labels = match selector_or_none(object.pointer("/spec/podSelector")) {
        none if none == "<none>" => {
            "<none> (Allowing the specific traffic to all pods in this namespace)".to_owned()
        }
        labels => labels,
    };
    // Kubernetes: what is selected stands two levels in, though on the same line.
    out.line(1, format!("PodSelector:     {labels}"));
    let types = list(object, "/spec/policyTypes").iter();
    let types: Vec<&str> = types.filter_map(Value::as_str).collect();
    for direction in &DIRECTIONS {
        let name = direction.name;
        if types.contains(&direction.policy_type) {
            out.line(1, format!("Allowing {name} traffic:"));
            describe_rules(direction, list(object, direction.rules), out);
        } else {
            out.line(1, format!("Not affecting {name} traffic"));
        }
    }
    let types = types.join(", ");
    out.line(1, format!("Policy Types: {}", or_none(&types)));
}

fn describe_rules(direction: &Direction, rules: &[Value], out: &mut Text) {
    if rules.is_empty() {
        let name = direction.name;
        let line = format!("<none> (Selected pods are isolated for {name} connectivity)");
        out.line(2, line);
    }
    let peer = direction.peer;
    for (index, rule) in rules.iter().enumerate() {
        if index > 0 {
            out.line(2, "----------");
        }
        let ports = list(rule, "/ports");
        if ports.is_empty() {
            out.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in ports {
            out.line(2, port_line(port));
        }
        let peers = list(rule, direction.peers);
        if peers.is_empty() {
            let line = format!(
                "{peer}: <any> (traffic not restricted by {})",
                direction.end
            );
            out.line(2, line);
        }
        for one in peers {
            out.line(2, format!("{peer}:"));
            describe_peer(one, out);
        }
    }
}

fn port_line(port: &Value) -> String {
    let protocol = match at(port, "/protocol") {
        "" => "TCP",
        protocol => protocol,
    };
    let from = number_or_text(port, "/port").unwrap_or_else(|| "<nil>".to_owned());
    match number(port, "/endPort") {
        Some(to) => format!("To Port Range: {from}-{to}/{protocol}"),
        None => format!("To Port: {from}/{protocol}"),
    }
}

fn describe_peer(peer: &Value, out: &mut Text) {
    let mut selects = false;
    for (title, field) in [
        ("NamespaceSelector", "namespaceSelector"),
        ("PodSelector", "podSelector"),
    ] {
        if let Some(selector) = peer.get(field) {
            selects = true;
            let labels = selector_or_none(Some(selector));
            out.line(3, format!("{title}: {labels}"));
        }
    }
    let Some(block) = peer.get("ipBlock").filter(|_| !selects) else {
        return;
    };
    out.line(3, "IPBlock:");
    out.line(4, format!("CIDR: {}", at(block, "/cidr")));
    let except = list(block, "/except").iter().filter_map(Value::as_str);
    let except = except.collect::<Vec<_>>().join(", ");
    out.line(4, format!("Except: {except}"));
}
