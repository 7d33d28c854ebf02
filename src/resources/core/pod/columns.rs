//! The Table row of a pod: what `kubectl get pods` shows. Must not read the clock.
//! Kubernetes: `pkg/printers/internalversion` printPod.

use crate::meta::{Object, time};
use crate::resources::columns;
use crate::resources::def::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The columns.
pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new(
        "Ready",
        "The aggregate readiness state of this pod for accepting traffic.",
    ),
    Column::new(
        "Status",
        "The aggregate status of the containers in this pod.",
    ),
    Column::new(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    columns::age_column(),
    Column::wide("IP", "IP address allocated to the pod; empty if none yet."),
    Column::wide("Node", "The node that the pod runs on."),
    Column::wide(
        "Nominated Node",
        "The node on which the pod is to run once the pods it preempts are gone.",
    ),
    Column::wide(
        "Readiness Gates",
        "Conditions that count towards readiness, and how many of them hold.",
    ),
];

/// What the containers of a pod add up to.
struct Summary {
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
    ready: usize,
    total: usize,
}

/// The cells.
pub(super) fn row(pod: &Object, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let restarts = match summary.last_restart {
        Some(at) if summary.restarts != 0 => {
            let ago = time::human_duration(now.duration_since(at));
            format!("{} ({ago} ago)", summary.restarts)
        }
        _ => summary.restarts.to_string(),
    };
    vec![
        json!(pod.name()),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        columns::age(pod, now),
        or_none(first_ip(pod)),
        or_none(pod.str_at(&["spec", "nodeName"])),
        or_none(pod.str_at(&["status", "nominatedNodeName"])),
        readiness_gates(pod),
    ]
}

fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}

fn first_ip(pod: &Object) -> &str {
    let first = pod
        .get(&["status", "podIPs"])
        .and_then(|ips| ips.get(0)?.get("ip"));
    match first.and_then(Value::as_str) {
        Some(ip) => ip,
        None => pod.str_at(&["status", "podIP"]),
    }
}

fn list<'a>(pod: &'a Object, path: &[&str]) -> &'a [Value] {
    let list = pod.get(path).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &[&str]) -> i64 {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_i64).unwrap_or(0)
}

fn has_condition(pod: &Object, kind: &str) -> bool {
    let mut conditions = list(pod, &["status", "conditions"]).iter();
    conditions.any(|c| text(c, &["type"]) == kind && text(c, &["status"]) == "True")
}

fn readiness_gates(pod: &Object) -> Value {
    let gates = list(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return json!("<none>");
    }
    let held = gates
        .iter()
        .filter(|gate| has_condition(pod, text(gate, &["conditionType"])));
    json!(format!("{}/{}", held.count(), gates.len()))
}

fn summarize(pod: &Object) -> Summary {
    let mut summary = Summary {
        reason: match pod.str_at(&["status", "reason"]) {
            "" => pod.str_at(&["status", "phase"]).to_owned(),
            reason => reason.to_owned(),
        },
        restarts: 0,
        last_restart: None,
        ready: 0,
        total: list(pod, &["spec", "containers"]).len(),
    };
    let gated = list(pod, &["status", "conditions"])
        .iter()
        .any(|c| text(c, &["type"]) == "PodScheduled" && text(c, &["reason"]) == "SchedulingGated");
    if gated {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let sidecars: Vec<&str> = list(pod, &["spec", "initContainers"])
        .iter()
        .filter(|c| text(c, &["restartPolicy"]) == "Always")
        .map(|c| text(c, &["name"]))
        .collect();
    summary.total += sidecars.len();
    let initializing = init_containers(pod, &sidecars, &mut summary);
    if !initializing || has_condition(pod, "Initialized") {
        containers(pod, &mut summary);
    }
    if pod.deletion_timestamp().is_some() {
        let phase = pod.str_at(&["status", "phase"]);
        if pod.str_at(&["status", "reason"]) == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

fn count_restarts(status: &Value, summary: &mut Summary) {
    summary.restarts += number(status, &["restartCount"]);
    let ended = text(status, &["lastState", "terminated", "finishedAt"]);
    summary.last_restart = summary.last_restart.max(time::parse(ended));
}

/// Whether the pod is still initializing; says where it stands.
fn init_containers(pod: &Object, sidecars: &[&str], summary: &mut Summary) -> bool {
    let total = list(pod, &["spec", "initContainers"]).len();
    let statuses = list(pod, &["status", "initContainerStatuses"]);
    for (index, status) in statuses.iter().enumerate() {
        count_restarts(status, summary);
        let sidecar = sidecars.contains(&text(status, &["name"]));
        let ended = status.get("state").and_then(|s| s.get("terminated"));
        if ended.is_some_and(|ended| number(ended, &["exitCode"]) == 0) {
            continue;
        }
        if sidecar && status.get("started") == Some(&Value::Bool(true)) {
            if status.get("ready") == Some(&Value::Bool(true)) {
                summary.ready += 1;
            }
            continue;
        }
        let waiting = text(status, &["state", "waiting", "reason"]);
        summary.reason = match ended {
            Some(ended) => format!("Init:{}", ended_reason(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{total}"),
        };
        return true;
    }
    false
}

fn ended_reason(ended: &Value) -> String {
    match (text(ended, &["reason"]), number(ended, &["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(ended, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn containers(pod: &Object, summary: &mut Summary) {
    // What init containers did counts only while they run.
    summary.restarts = 0;
    summary.last_restart = None;
    for status in list(pod, &["status", "initContainerStatuses"]) {
        let sidecar = list(pod, &["spec", "initContainers"]).iter().any(|c| {
            c.get("name") == status.get("name") && text(c, &["restartPolicy"]) == "Always"
        });
        if sidecar {
            count_restarts(status, summary);
        }
    }
    let mut running = false;
    for status in list(pod, &["status", "containerStatuses"]).iter().rev() {
        count_restarts(status, summary);
        let state = status.get("state").unwrap_or(&Value::Null);
        let waiting = text(state, &["waiting", "reason"]);
        let is_running = state.get("running").is_some();
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(ended) = state.get("terminated") {
            summary.reason = ended_reason(ended);
        } else if is_running && status.get("ready") == Some(&Value::Bool(true)) {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let ready = has_condition(pod, "Ready");
        let reason = if ready { "Running" } else { "NotReady" };
        reason.clone_into(&mut summary.reason);
    }
}
