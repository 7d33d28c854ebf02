//! Pods. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, list, number, pairs, time};
use super::workload::controlled_by;
use super::{Scene, containers, volumes};
use crate::meta::time::{human_duration, parse};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, pod: &Value, out: &mut Text) {
    out.field(0, "Name", at(pod, "/metadata/name"));
    out.field(0, "Namespace", at(pod, "/metadata/namespace"));
    if let Some(priority) = number(pod, "/spec/priority") {
        out.field(0, "Priority", priority);
    }
    for (title, field) in [
        ("Priority Class Name", "/spec/priorityClassName"),
        ("Runtime Class Name", "/spec/runtimeClassName"),
        ("Service Account", "/spec/serviceAccountName"),
    ] {
        out.field_if(0, title, at(pod, field));
    }
    let node = match (at(pod, "/spec/nodeName"), at(pod, "/status/hostIP")) {
        ("", _) => "<none>".to_owned(),
        (node, ip) => format!("{node}/{ip}"),
    };
    out.field(0, "Node", node);
    out.field_if(0, "Start Time", time(at(pod, "/status/startTime")));
    out.labels_and_annotations(pod);
    describe_status(scene, pod, out);
    let ips = list(pod, "/status/podIPs");
    out.field(0, "IP", at(pod, "/status/podIP"));
    if ips.is_empty() {
        out.field(0, "IPs", "<none>");
    } else {
        out.line(0, "IPs:");
    }
    for ip in ips {
        out.field(1, "IP", at(ip, "/ip"));
    }
    controlled_by(pod, out);
    out.field_if(0, "NominatedNodeName", at(pod, "/status/nominatedNodeName"));
    containers::describe_all(pod, false, out);
    describe_gates(pod, out);
    let conditions = list(pod, "/status/conditions");
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus");
    }
    for condition in conditions {
        let (kind, status) = (at(condition, "/type"), at(condition, "/status"));
        out.line(1, format!("{kind} \t{status} "));
    }
    volumes::describe(list(pod, "/spec/volumes"), false, out);
    out.field(0, "QoS Class", at(pod, "/status/qosClass"));
    out.column("Node-Selectors", &pairs(pod.pointer("/spec/nodeSelector")));
    let tolerations = list(pod, "/spec/tolerations").iter().map(toleration);
    out.column("Tolerations", &tolerations.collect::<Vec<_>>());
    let spread = list(pod, "/spec/topologySpreadConstraints")
        .iter()
        .map(spread);
    let spread: Vec<String> = spread.collect();
    if !spread.is_empty() {
        out.column("Topology Spread Constraints", &spread);
    }
}

fn describe_status(scene: &Scene<'_>, pod: &Value, out: &mut Text) {
    let phase = at(pod, "/status/phase");
    let deleted = at(pod, "/metadata/deletionTimestamp");
    if deleted.is_empty() || matches!(phase, "Failed" | "Succeeded") {
        out.field(0, "Status", phase);
    } else {
        // Kubernetes: how long ago it was to be gone, which is less than nothing at first.
        let since = parse(deleted).map(|end| human_duration(scene.now.duration_since(end)));
        let since = since.unwrap_or_default();
        out.field(0, "Status", format!("Terminating (lasts {since})"));
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds");
        let grace = grace.unwrap_or_else(|| "0".to_owned());
        out.field(0, "Termination Grace Period", format!("{grace}s"));
    }
    out.field_if(0, "Reason", at(pod, "/status/reason"));
    out.field_if(0, "Message", at(pod, "/status/message"));
    seccomp(pod, 0, out);
}

/// The seccomp profile of a pod's or container's security context.
pub(super) fn seccomp(of: &Value, level: usize, out: &mut Text) {
    let base = if of.pointer("/spec").is_some() {
        "/spec/securityContext/seccompProfile"
    } else {
        "/securityContext/seccompProfile"
    };
    let Some(profile) = of.pointer(base) else {
        return;
    };
    let kind = at(profile, "/type");
    out.field(level, "SeccompProfile", kind);
    if kind == "Localhost" {
        let path = at(profile, "/localhostProfile");
        out.field(level, "LocalhostProfile", path);
    }
}

fn describe_gates(pod: &Value, out: &mut Text) {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return;
    }
    out.line(0, "Readiness Gates:");
    out.line(1, "Type\tStatus");
    for gate in gates {
        let kind = at(gate, "/conditionType");
        let mut conditions = list(pod, "/status/conditions").iter();
        let condition = conditions.find(|condition| at(condition, "/type") == kind);
        let status = condition.map_or("<none>", |condition| at(condition, "/status"));
        out.line(1, format!("{kind} \t{status} "));
    }
}

pub(super) fn toleration(toleration: &Value) -> String {
    let mut text = at(toleration, "/key").to_owned();
    for (separator, path) in [("=", "/value"), (":", "/effect")] {
        let part = at(toleration, path);
        if !part.is_empty() {
            text.push_str(separator);
            text.push_str(part);
        }
    }
    if at(toleration, "/operator") == "Exists" && at(toleration, "/value").is_empty() {
        text.push_str(if text.is_empty() {
            "op=Exists"
        } else {
            " op=Exists"
        });
    }
    if let Some(seconds) = number(toleration, "/tolerationSeconds") {
        text.push_str(&format!(" for {seconds}s"));
    }
    text
}

pub(super) fn spread(constraint: &Value) -> String {
    let mut text = format!(
        "{}:{} when max skew {} is exceeded",
        at(constraint, "/topologyKey"),
        at(constraint, "/whenUnsatisfiable"),
        number(constraint, "/maxSkew").unwrap_or_default()
    );
    if let Some(selector) = constraint.get("labelSelector") {
        let labels = pairs(selector.get("matchLabels")).join(",");
        text.push_str(&format!(" for selector {labels}"));
    }
    text
}
