//! The containers of a pod. Must not know what stands around them. Kubernetes: kubectl's
//! `describeContainers`.

use super::pod::seccomp;
use super::text::{Text, at, capital, is_true, list, number, or_none, time};
use serde_json::Value;

/// Containers of all three kinds; `inside` a description they stand further in.
pub(super) fn describe_all(pod: &Value, inside: bool, out: &mut Text) {
    for (title, spec, status) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        (
            "Ephemeral Containers",
            "ephemeralContainers",
            "ephemeralContainerStatuses",
        ),
    ] {
        let containers = list(pod, &format!("/spec/{spec}"));
        if containers.is_empty() {
            continue;
        }
        out.line(usize::from(inside), format!("{title}:"));
        for container in containers {
            let name = at(container, "/name");
            let mut statuses = list(pod, &format!("/status/{status}")).iter();
            let status = statuses.find(|status| at(status, "/name") == name);
            let more = if inside { " " } else { "" };
            out.line(1, format!("{more}{name}:"));
            // Kubernetes: a template has no fields that a container could be told of.
            let pod = if inside { &Value::Null } else { pod };
            describe(pod, container, status, out);
        }
    }
}

fn describe(pod: &Value, container: &Value, status: Option<&Value>, out: &mut Text) {
    if let Some(status) = status {
        out.field(2, "Container ID", at(status, "/containerID"));
    }
    out.field(2, "Image", at(container, "/image"));
    if let Some(status) = status {
        out.field(2, "Image ID", at(status, "/imageID"));
    }
    for (title, field) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let ports = list(container, "/ports").iter();
        let ports: Vec<String> = ports.map(|port| port_text(port, field)).collect();
        let several = if ports.len() > 1 { "s" } else { "" };
        let shown = ports.join(", ");
        out.field(2, &format!("{title}{several}"), or_none(&shown));
    }
    seccomp(container, 2, out);
    for (title, field) in [("Command", "/command"), ("Args", "/args")] {
        let words = list(container, field);
        if !words.is_empty() {
            out.line(2, format!("{title}:"));
        }
        for line in words
            .iter()
            .filter_map(Value::as_str)
            .flat_map(|word| word.split('\n'))
        {
            out.line(3, line);
        }
    }
    if let Some(status) = status {
        describe_status(status, out);
    }
    out.amounts(2, "Limits", container.pointer("/resources/limits"));
    out.amounts(2, "Requests", container.pointer("/resources/requests"));
    for (title, field) in [
        ("Liveness", "livenessProbe"),
        ("Readiness", "readinessProbe"),
        ("Startup", "startupProbe"),
    ] {
        if let Some(probe) = container.get(field) {
            out.field(2, title, probe_text(probe));
        }
    }
    describe_env_from(container, out);
    let env = list(container, "/env");
    out.line(
        2,
        if env.is_empty() {
            "Environment:\t<none>"
        } else {
            "Environment:"
        },
    );
    for variable in env {
        describe_variable(pod, container, variable, out);
    }
    describe_mounts(container, out);
    let devices = list(container, "/volumeDevices");
    if !devices.is_empty() {
        // Kubernetes: kubectl says so though some follow.
        out.field(2, "Devices", "<none>");
    }
    for device in devices {
        let (path, name) = (at(device, "/devicePath"), at(device, "/name"));
        out.line(3, format!("{path} from {name}"));
    }
}

fn port_text(port: &Value, field: &str) -> String {
    let number = number(port, &format!("/{field}")).unwrap_or_else(|| "0".to_owned());
    let name = match at(port, "/name") {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    format!("{number}/{}{name}", at(port, "/protocol"))
}

fn describe_status(status: &Value, out: &mut Text) {
    describe_state("State", status.get("state"), out);
    if status.pointer("/lastState/terminated").is_some() {
        describe_state("Last State", status.get("lastState"), out);
    }
    out.field(2, "Ready", capital(is_true(status, "/ready")));
    let restarts = number(status, "/restartCount").unwrap_or_else(|| "0".to_owned());
    out.field(2, "Restart Count", restarts);
}

fn describe_state(title: &str, state: Option<&Value>, out: &mut Text) {
    let state = state.unwrap_or(&Value::Null);
    if let Some(running) = state.get("running") {
        out.field(2, title, "Running");
        out.field(3, "Started", time(at(running, "/startedAt")));
    } else if let Some(ended) = state.get("terminated") {
        out.field(2, title, "Terminated");
        out.field_if(3, "Reason", at(ended, "/reason"));
        out.field_if(3, "Message", at(ended, "/message"));
        let code = number(ended, "/exitCode").unwrap_or_else(|| "0".to_owned());
        out.field(3, "Exit Code", code);
        out.field_if(3, "Signal", number(ended, "/signal").unwrap_or_default());
        out.field(3, "Started", time(at(ended, "/startedAt")));
        out.field(3, "Finished", time(at(ended, "/finishedAt")));
    } else {
        out.field(2, title, "Waiting");
        out.field_if(3, "Reason", at(state, "/waiting/reason"));
    }
}

fn probe_text(probe: &Value) -> String {
    let count = |field: &str, default: &str| {
        number(probe, &format!("/{field}")).unwrap_or_else(|| default.to_owned())
    };
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        count("initialDelaySeconds", "0"),
        count("timeoutSeconds", "0"),
        count("periodSeconds", "0"),
        count("successThreshold", "0"),
        count("failureThreshold", "0"),
    );
    let port = |of: &Value| match at(of, "/port") {
        "" => number(of, "/port").unwrap_or_default(),
        name => name.to_owned(),
    };
    if let Some(exec) = probe.get("exec") {
        let words = list(exec, "/command").iter().filter_map(Value::as_str);
        format!("exec [{}] {times}", words.collect::<Vec<_>>().join(" "))
    } else if let Some(get) = probe.get("httpGet") {
        let scheme = at(get, "/scheme").to_lowercase();
        let (host, path) = (at(get, "/host"), at(get, "/path"));
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!(
            "http-get {scheme}://{host}:{}{slash}{path} {times}",
            port(get)
        )
    } else if let Some(socket) = probe.get("tcpSocket") {
        format!(
            "tcp-socket {}:{} {times}",
            at(socket, "/host"),
            port(socket)
        )
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {} {times}", port(grpc), at(grpc, "/service"))
    } else {
        format!("unknown {times}")
    }
}

fn describe_env_from(container: &Value, out: &mut Text) {
    let sources = list(container, "/envFrom");
    if sources.is_empty() {
        return;
    }
    out.line(2, "Environment Variables from:");
    for source in sources {
        let (kind, reference) = match source.get("configMapRef") {
            Some(reference) => ("ConfigMap", reference),
            None => ("Secret", source.get("secretRef").unwrap_or(&Value::Null)),
        };
        let prefix = match at(source, "/prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        let (name, optional) = (at(reference, "/name"), is_true(reference, "/optional"));
        out.line(3, format!("{name}\t{kind}{prefix}\tOptional: {optional}"));
    }
}

fn describe_variable(pod: &Value, container: &Value, variable: &Value, out: &mut Text) {
    let name = at(variable, "/name");
    let Some(from) = variable.get("valueFrom") else {
        for (number, line) in at(variable, "/value").split('\n').enumerate() {
            let name = if number == 0 {
                format!("{name}:")
            } else {
                String::new()
            };
            out.line(3, format!("{name}\t{line}"));
        }
        return;
    };
    let text = if let Some(field) = from.get("fieldRef") {
        let path = at(field, "/fieldPath");
        let value = of_pod(pod, path);
        format!("{value} ({}:{path})", at(field, "/apiVersion"))
    } else if let Some(resource) = from.get("resourceFieldRef") {
        let path = at(resource, "/resource");
        format!("{} ({path})", of_resources(container, resource))
    } else if let Some(key) = from.get("secretKeyRef") {
        let (name, secret) = (at(key, "/key"), at(key, "/name"));
        let optional = is_true(key, "/optional");
        format!("<set to the key '{name}' in secret '{secret}'>\tOptional: {optional}")
    } else {
        let key = from.get("configMapKeyRef").unwrap_or(&Value::Null);
        let (name, map) = (at(key, "/key"), at(key, "/name"));
        let optional = is_true(key, "/optional");
        format!("<set to the key '{name}' of config map '{map}'>\tOptional: {optional}")
    };
    out.field(3, name, text);
}

/// What a field of the pod is, as a container is told. Kubernetes: kubectl does not show a single
/// label or annotation.
fn of_pod(pod: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match pod.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) => {
            let pairs = map.iter().map(|(key, value)| {
                let value = value.as_str().unwrap_or_default();
                format!("{key}={value:?}")
            });
            pairs.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// What of its resources a container is told, in units of the divisor.
fn of_resources(container: &Value, reference: &Value) -> String {
    use crate::meta::Quantity;
    let path = at(reference, "/resource").replace('.', "/");
    let amount = container.pointer(&format!("/resources/{path}"));
    let amount = amount.and_then(|amount| Quantity::from_value(amount).ok());
    let Some(amount) = amount else {
        // Kubernetes: without a limit of its own a container may use what the node has.
        return match path.as_str() {
            "limits/cpu" | "limits/memory" | "limits/ephemeral-storage" => {
                "node allocatable".to_owned()
            }
            _ => "0".to_owned(),
        };
    };
    let divisor = reference
        .get("divisor")
        .and_then(|d| Quantity::from_value(d).ok());
    let divisor = divisor.map_or(1_000, |divisor| divisor.millis());
    let divisor = if divisor == 0 { 1_000 } else { divisor };
    let whole = amount
        .millis()
        .saturating_add(divisor - 1)
        .checked_div(divisor);
    whole.unwrap_or(0).to_string()
}

fn describe_mounts(container: &Value, out: &mut Text) {
    let mut mounts: Vec<&Value> = list(container, "/volumeMounts").iter().collect();
    mounts.sort_by_key(|mount| at(mount, "/mountPath"));
    out.line(
        2,
        if mounts.is_empty() {
            "Mounts:\t<none>"
        } else {
            "Mounts:"
        },
    );
    for mount in mounts {
        let mut flags = match is_true(mount, "/readOnly") {
            true => "ro".to_owned(),
            false => "rw".to_owned(),
        };
        if !at(mount, "/subPath").is_empty() {
            flags.push_str(&format!(",path={:?}", at(mount, "/subPath")));
        }
        let (path, name) = (at(mount, "/mountPath"), at(mount, "/name"));
        out.line(3, format!("{path} from {name} ({flags})"));
    }
}
