//! `wkube describe`: one object with all that is known of it, for people. Pods in the form that
//! kubectl gives them; other kinds field by field; events below.

use crate::cli::context::{CliError, Context, GlobalArgs};
use crate::cli::discovery::Discovery;
use crate::cli::manifests::FileArgs;
use crate::cli::resource_args::{Target, targets, targets_of_files};
use crate::client::Query;
use crate::meta::GroupVersionResource;
use crate::meta::time::age;
use crate::stdx::Clock;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME...] or TYPE/NAME...
    words: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
    /// Selector (label query) to filter on.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,
}

pub(crate) async fn run(args: Args, global: GlobalArgs) -> Result<ExitCode, CliError> {
    let context = global.connect().await?;
    let discovery = Discovery::read(&context.client).await?;
    let targets = if args.files.filename.is_empty() {
        targets(&args.words, &discovery, &context)?
    } else {
        targets_of_files(&args.files, &discovery, &context).await?
    };
    let now = Clock::real().now();
    let (mut shown, mut failed) = (0, false);
    for target in &targets {
        for object in objects(&args, &context, target, &mut failed).await? {
            if shown > 0 {
                println!("\n");
            }
            shown += 1;
            let events = events(&context, &object, now).await?;
            let body = if target.resource.kind == "Pod" {
                pod(&object)
            } else {
                generic(&object)
            };
            print!("{body}{events}");
        }
    }
    if shown == 0 && !failed {
        eprintln!("No resources found in {} namespace.", context.namespace);
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn objects(
    args: &Args,
    context: &Context,
    target: &Target,
    failed: &mut bool,
) -> Result<Vec<Value>, CliError> {
    let row = &target.resource;
    if target.names.is_empty() {
        let query = Query::new().with("labelSelector", args.selector.as_deref().unwrap_or(""));
        let list = context
            .client
            .list::<Value>(&row.resource, &target.namespace, &query)
            .await?;
        return Ok(list.items);
    }
    let mut found = Vec::new();
    for name in &target.names {
        match context
            .client
            .get(&row.resource, &target.namespace, name)
            .await
        {
            Ok(object) => found.push(object),
            Err(error) => {
                *failed = true;
                eprintln!("{}", CliError::from(error));
            }
        }
    }
    Ok(found)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value
        .pointer(path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A line `Name:   value`, the value at `width`.
fn line(out: &mut String, indent: usize, name: &str, width: usize, value: &str) {
    let name = format!("{name}:");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:indent$}{name:<width$}{value}",
        "",
        indent = indent,
        width = width
    );
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// `key=value` pairs, one a line, aligned below the first.
fn pairs(out: &mut String, name: &str, width: usize, map: Option<&Value>, separator: &str) {
    let hidden = "kubectl.kubernetes.io/last-applied-configuration";
    let shown: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != hidden)
        .map(|(key, value)| format!("{key}{separator}{}", value.as_str().unwrap_or_default()))
        .collect();
    let mut shown = shown.iter();
    line(
        out,
        0,
        name,
        width,
        shown.next().map_or("<none>", String::as_str),
    );
    for pair in shown {
        let _ = writeln!(out, "{:width$}{pair}", "", width = width);
    }
}

/// Kubernetes: kubectl's pod describer.
fn pod(pod: &Value) -> String {
    const WIDTH: usize = 18;
    let mut out = String::new();
    line(&mut out, 0, "Name", WIDTH, text(pod, "/metadata/name"));
    line(
        &mut out,
        0,
        "Namespace",
        WIDTH,
        text(pod, "/metadata/namespace"),
    );
    let priority = pod
        .pointer("/spec/priority")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    line(&mut out, 0, "Priority", WIDTH, &priority.to_string());
    line(
        &mut out,
        0,
        "Service Account",
        WIDTH,
        text(pod, "/spec/serviceAccountName"),
    );
    let node = match (text(pod, "/spec/nodeName"), text(pod, "/status/hostIP")) {
        ("", _) => "<none>".to_owned(),
        (node, ip) => format!("{node}/{ip}"),
    };
    line(&mut out, 0, "Node", WIDTH, &node);
    if let Some(started) = time(text(pod, "/status/startTime")) {
        line(&mut out, 0, "Start Time", WIDTH, &started);
    }
    pairs(
        &mut out,
        "Labels",
        WIDTH,
        pod.pointer("/metadata/labels"),
        "=",
    );
    pairs(
        &mut out,
        "Annotations",
        WIDTH,
        pod.pointer("/metadata/annotations"),
        ": ",
    );
    let phase = match text(pod, "/metadata/deletionTimestamp") {
        "" => text(pod, "/status/phase"),
        _ => "Terminating",
    };
    line(&mut out, 0, "Status", WIDTH, phase);
    for (name, path) in [("Reason", "/status/reason"), ("Message", "/status/message")] {
        if !text(pod, path).is_empty() {
            line(&mut out, 0, name, WIDTH, text(pod, path));
        }
    }
    line(&mut out, 0, "IP", WIDTH, text(pod, "/status/podIP"));
    let ips = list(pod, "/status/podIPs");
    out.push_str(if ips.is_empty() {
        "IPs:               <none>\n"
    } else {
        "IPs:\n"
    });
    for ip in ips {
        let _ = writeln!(out, "  IP:  {}", text(ip, "/ip"));
    }
    for (title, spec, status) in [
        (
            "Init Containers",
            "/spec/initContainers",
            "/status/initContainerStatuses",
        ),
        (
            "Containers",
            "/spec/containers",
            "/status/containerStatuses",
        ),
    ] {
        let containers = list(pod, spec);
        if !containers.is_empty() {
            let _ = writeln!(out, "{title}:");
        }
        for container in containers {
            let name = text(container, "/name");
            let status = list(pod, status)
                .iter()
                .find(|status| text(status, "/name") == name);
            describe_container(&mut out, container, status.unwrap_or(&Value::Null));
        }
    }
    conditions(&mut out, list(pod, "/status/conditions"));
    let volumes: Vec<&str> = list(pod, "/spec/volumes")
        .iter()
        .map(|v| text(v, "/name"))
        .collect();
    line(&mut out, 0, "Volumes", 29, or_none(&volumes.join(", ")));
    line(&mut out, 0, "QoS Class", 29, text(pod, "/status/qosClass"));
    pairs(
        &mut out,
        "Node-Selectors",
        29,
        pod.pointer("/spec/nodeSelector"),
        "=",
    );
    let tolerations: Vec<String> = list(pod, "/spec/tolerations")
        .iter()
        .map(toleration)
        .collect();
    let mut tolerations = tolerations.iter();
    line(
        &mut out,
        0,
        "Tolerations",
        29,
        tolerations.next().map_or("<none>", String::as_str),
    );
    for toleration in tolerations {
        let _ = writeln!(out, "{:29}{toleration}", "");
    }
    out
}

fn toleration(toleration: &Value) -> String {
    let mut out = text(toleration, "/key").to_owned();
    for (separator, path) in [("=", "/value"), (":", "/effect")] {
        if !text(toleration, path).is_empty() {
            let _ = write!(out, "{separator}{}", text(toleration, path));
        }
    }
    if text(toleration, "/operator") == "Exists" && text(toleration, "/value").is_empty() {
        out.push_str(if out.is_empty() {
            "op=Exists"
        } else {
            " op=Exists"
        });
    }
    if let Some(seconds) = toleration
        .pointer("/tolerationSeconds")
        .and_then(Value::as_i64)
    {
        let _ = write!(out, " for {seconds}s");
    }
    out
}

fn describe_container(out: &mut String, container: &Value, status: &Value) {
    const WIDTH: usize = 16;
    let _ = writeln!(out, "  {}:", text(container, "/name"));
    line(out, 4, "Container ID", WIDTH, text(status, "/containerID"));
    line(out, 4, "Image", WIDTH, text(container, "/image"));
    line(out, 4, "Image ID", WIDTH, text(status, "/imageID"));
    let ports = |field: &str| {
        let shown: Vec<String> = list(container, "/ports")
            .iter()
            .map(|port| {
                let number = port.get(field).and_then(Value::as_i64).unwrap_or(0);
                let name = match text(port, "/name") {
                    "" => String::new(),
                    name => format!(" ({name})"),
                };
                format!("{number}/{}{name}", text(port, "/protocol"))
            })
            .collect();
        shown.join(", ")
    };
    line(out, 4, "Port", WIDTH, or_none(&ports("containerPort")));
    line(out, 4, "Host Port", WIDTH, or_none(&ports("hostPort")));
    for (title, path) in [("Command", "/command"), ("Args", "/args")] {
        let words = list(container, path);
        if !words.is_empty() {
            let _ = writeln!(out, "    {title}:");
        }
        for word in words {
            let _ = writeln!(out, "      {}", word.as_str().unwrap_or_default());
        }
    }
    state(out, "State", status.get("state"));
    if status
        .pointer("/lastState")
        .and_then(Value::as_object)
        .is_some_and(|s| !s.is_empty())
    {
        state(out, "Last State", status.get("lastState"));
    }
    let ready = status
        .get("ready")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    line(out, 4, "Ready", WIDTH, if ready { "True" } else { "False" });
    let restarts = status
        .get("restartCount")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    line(out, 4, "Restart Count", WIDTH, &restarts.to_string());
    for (title, path) in [
        ("Limits", "/resources/limits"),
        ("Requests", "/resources/requests"),
    ] {
        if let Some(Value::Object(amounts)) = container.pointer(path) {
            let _ = writeln!(out, "    {title}:");
            for (name, amount) in amounts {
                line(out, 6, name, 10, amount.as_str().unwrap_or_default());
            }
        }
    }
    let env = list(container, "/env");
    if env.is_empty() {
        line(out, 4, "Environment", WIDTH, "<none>");
    } else {
        out.push_str("    Environment:\n");
        let width = env
            .iter()
            .map(|e| text(e, "/name").len())
            .max()
            .unwrap_or(0)
            + 3;
        for variable in env {
            let value = match text(variable, "/value") {
                "" if variable.get("valueFrom").is_some() => "<set from a source>",
                value => value,
            };
            line(out, 6, text(variable, "/name"), width, value);
        }
    }
    let mounts = list(container, "/volumeMounts");
    if mounts.is_empty() {
        line(out, 4, "Mounts", WIDTH, "<none>");
    } else {
        out.push_str("    Mounts:\n");
    }
    for mount in mounts {
        let mode = mount
            .get("readOnly")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let mode = if mode { "ro" } else { "rw" };
        let (path, name) = (text(mount, "/mountPath"), text(mount, "/name"));
        let _ = writeln!(out, "      {path} from {name} ({mode})");
    }
}

fn state(out: &mut String, title: &str, state: Option<&Value>) {
    const WIDTH: usize = 16;
    let (kind, detail) = state
        .and_then(Value::as_object)
        .and_then(|map| map.iter().next())
        .map_or(("waiting", &Value::Null), |(kind, detail)| {
            (kind.as_str(), detail)
        });
    let word = match kind {
        "running" => "Running",
        "terminated" => "Terminated",
        _ => "Waiting",
    };
    line(out, 4, title, WIDTH, word);
    for (name, path) in [("Reason", "/reason"), ("Message", "/message")] {
        if !text(detail, path).is_empty() {
            line(out, 6, name, WIDTH - 2, text(detail, path));
        }
    }
    if let Some(code) = detail.get("exitCode").and_then(Value::as_i64) {
        line(out, 6, "Exit Code", WIDTH - 2, &code.to_string());
    }
    for (name, path) in [("Started", "/startedAt"), ("Finished", "/finishedAt")] {
        if let Some(shown) = time(text(detail, path)) {
            line(out, 6, name, WIDTH - 2, &shown);
        }
    }
}

fn conditions(out: &mut String, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    let width = conditions
        .iter()
        .map(|c| text(c, "/type").len())
        .max()
        .unwrap_or(4)
        + 2;
    let _ = writeln!(
        out,
        "Conditions:\n  {:<width$}Status",
        "Type",
        width = width
    );
    for condition in conditions {
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        let _ = writeln!(out, "  {kind:<width$}{status} ", width = width);
    }
}

/// As kubectl shows times of a description.
fn time(text: &str) -> Option<String> {
    let at: Timestamp = text.parse().ok()?;
    Some(at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
}

/// Any other kind, field by field. Kubernetes: kubectl's generic describer.
fn generic(object: &Value) -> String {
    let mut out = String::new();
    let namespace = text(object, "/metadata/namespace");
    line(&mut out, 0, "Name", 14, text(object, "/metadata/name"));
    if !namespace.is_empty() {
        line(&mut out, 0, "Namespace", 14, namespace);
    }
    pairs(
        &mut out,
        "Labels",
        14,
        object.pointer("/metadata/labels"),
        "=",
    );
    pairs(
        &mut out,
        "Annotations",
        14,
        object.pointer("/metadata/annotations"),
        ": ",
    );
    line(&mut out, 0, "API Version", 14, text(object, "/apiVersion"));
    line(&mut out, 0, "Kind", 14, text(object, "/kind"));
    if let Value::Object(map) = object {
        for (name, value) in map {
            if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                field(&mut out, 0, name, value);
            }
        }
    }
    out
}

/// Levels of fields that are shown.
const DEPTH_MAX: usize = 32;

fn field(out: &mut String, depth: usize, name: &str, value: &Value) {
    let indent = depth * 2;
    let title = spaced(name);
    match value {
        _ if depth > DEPTH_MAX => {}
        Value::Object(map) => {
            let _ = writeln!(out, "{:indent$}{title}:", "", indent = indent);
            for (name, value) in map {
                field(out, depth + 1, name, value);
            }
        }
        Value::Array(items) => {
            let _ = writeln!(out, "{:indent$}{title}:", "", indent = indent);
            for item in items {
                match item {
                    Value::Object(map) => {
                        for (name, value) in map {
                            field(out, depth + 1, name, value);
                        }
                    }
                    other => {
                        let _ = writeln!(out, "{:1$}{2}", "", indent + 2, plain(other));
                    }
                }
            }
        }
        other => {
            let _ = writeln!(
                out,
                "{:indent$}{title}:  {}",
                "",
                plain(other),
                indent = indent
            );
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `restartCount` as `Restart Count`.
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for (number, c) in name.chars().enumerate() {
        if number == 0 {
            out.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() {
                out.push(' ');
            }
            out.push(c);
        }
    }
    out
}

async fn events(context: &Context, object: &Value, now: Timestamp) -> Result<String, CliError> {
    let events = GroupVersionResource::new("", "v1", "events");
    let (uid, name) = (
        text(object, "/metadata/uid"),
        text(object, "/metadata/name"),
    );
    let selector = format!("involvedObject.name={name},involvedObject.uid={uid}");
    let query = Query::new().with("fieldSelector", &selector);
    let namespace = match text(object, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    };
    let mut found = context
        .client
        .list::<Value>(&events, namespace, &query)
        .await?
        .items;
    if found.is_empty() {
        return Ok("Events:  <none>\n".to_owned());
    }
    found.sort_by(|a, b| text(a, "/lastTimestamp").cmp(text(b, "/lastTimestamp")));
    let mut rows = vec![
        ["Type", "Reason", "Age", "From", "Message"].map(str::to_owned),
        ["----", "------", "----", "----", "-------"].map(str::to_owned),
    ];
    for event in &found {
        let count = event.get("count").and_then(Value::as_i64).unwrap_or(1);
        let last = age(text(event, "/lastTimestamp"), now);
        let age = match count {
            0 | 1 => last,
            _ => format!(
                "{last} (x{count} over {})",
                age(text(event, "/firstTimestamp"), now)
            ),
        };
        rows.push([
            text(event, "/type").to_owned(),
            text(event, "/reason").to_owned(),
            age,
            text(event, "/source/component").to_owned(),
            text(event, "/message").trim().to_owned(),
        ]);
    }
    let mut widths = [0usize; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = "Events:\n".to_owned();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_fields_are_spaced() {
        assert_eq!(spaced("restartCount"), "Restart Count");
        let shown = generic(
            &json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"},
                                    "spec": {"someField": [1, {"b": "c"}]}}),
        );
        assert!(
            shown.ends_with("Spec:\n  Some Field:\n    1\n    B:  c\n"),
            "{shown}"
        );
    }
}
