//! Environment of containers: variables, their sources, and references to fields and amounts of
//! the pod, which volumes use too. Must not know how they are resolved.
//! Kubernetes: `pkg/apis/core/validation` validateEnv and its neighbours.

use super::defaults::CONTAINER_LISTS;
use super::mounts::no_back_steps;
use crate::meta::names;
use crate::resources::strategy::masked;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// Fields that a variable may show.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of a volume may show.
pub(super) const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Fields that a reference may name at all.
const POD_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "spec.host",
];
/// Amounts that a reference may show.
const AMOUNTS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] = &[
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];
/// The sources of a variable, in Kubernetes' order.
const SOURCES: &[&str] = &[
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fileKeyRef",
];

/// Checks `env`.
pub(super) fn validate(list: &At<'_, '_>, errors: &mut Errors) {
    for variable in list.items() {
        let name = variable.field("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            errors.invalid_all(&name, names::env_var_name(name.str()));
        }
        let from = variable.field("valueFrom");
        if from.is_set() {
            value_from(&from, !variable.field("value").str().is_empty(), errors);
        }
    }
}

fn value_from(from: &At<'_, '_>, has_value: bool, errors: &mut Errors) {
    let sources: Vec<&&str> = SOURCES.iter().filter(|s| from.field(s).is_set()).collect();
    for source in &sources {
        let at = from.field(source);
        match **source {
            "fieldRef" => field_ref(&at, ENV_FIELDS, errors),
            "resourceFieldRef" => resource_ref(&at, false, errors),
            "fileKeyRef" => file_ref(&at, errors),
            _ => key_ref(&at, errors),
        }
    }
    if has_value && !sources.is_empty() {
        let detail = "may not be specified when `value` is not empty";
        errors.invalid_as(from, "", detail);
    } else if sources.len() > 1 {
        let detail = "may not have more than one field specified at a time";
        errors.invalid_as(from, "", detail);
    } else if sources.is_empty() {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                      `secretKeyRef` or `fileKeyRef`";
        errors.invalid_as(from, "", detail);
    }
}

/// A reference to a field of the pod. Labels and annotations may be asked for by key.
pub(super) fn field_ref(at: &At<'_, '_>, allowed: &[&str], errors: &mut Errors) {
    let (version, path) = (at.field("apiVersion"), at.field("fieldPath"));
    if version.str().is_empty() {
        errors.required(&version, "");
        return;
    }
    if path.str().is_empty() {
        errors.required(&path, "");
        return;
    }
    let subscript = subscript(path.str());
    let why = match subscript {
        _ if version.str() != "v1" => format!("unsupported pod version: {}", version.str()),
        Some(("metadata.annotations" | "metadata.labels", _)) => String::new(),
        Some(_) => format!("field label does not support subscript: {}", path.str()),
        None if POD_FIELDS.contains(&path.str()) => String::new(),
        None => format!("field label not supported: {}", path.str()),
    };
    if !why.is_empty() {
        errors.invalid(&path, format!("error converting fieldPath: {why}"));
        return;
    }
    if let Some((map, key)) = subscript {
        let key = match map {
            "metadata.annotations" => key.to_lowercase(),
            _ => key.to_owned(),
        };
        for detail in names::qualified_name(&key) {
            errors.invalid_as(at, key.as_str(), detail);
        }
    } else if !allowed.contains(&path.str()) {
        errors.not_supported(&path, allowed);
    }
}

/// `metadata.labels` and `x` of `metadata.labels['x']`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A reference to an amount of a container; in a volume it names the container.
pub(super) fn resource_ref(at: &At<'_, '_>, in_volume: bool, errors: &mut Errors) {
    let (container, resource) = (at.field("containerName"), at.field("resource"));
    let name = resource.str();
    let (_, kind) = name.split_once('.').unwrap_or(("", name));
    let huge = kind.starts_with("hugepages-") && !AMOUNTS.contains(&name);
    if in_volume && container.str().is_empty() {
        errors.required(&container, "");
    } else if name.is_empty() {
        errors.required(&resource, "");
    } else if !AMOUNTS.contains(&name) && !huge {
        errors.not_supported(&resource, AMOUNTS);
    }
    let divisor = at.field("divisor");
    if matches!(divisor.str(), "" | "0") {
        return;
    }
    let (allowed, words) = match kind {
        "cpu" => (CPU_DIVISORS, "cpu"),
        "memory" => (BYTE_DIVISORS, "memory"),
        "ephemeral-storage" => (BYTE_DIVISORS, "local ephemeral storage"),
        _ if huge => (BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&divisor.str()) {
        let list = allowed.join(if words == "cpu" { " and " } else { ", " });
        let detail =
            format!("only divisor's values {list} are supported with the {words} resource");
        errors.invalid_as(&divisor, name, detail);
    }
}

/// A reference to a key of a ConfigMap or Secret.
fn key_ref(at: &At<'_, '_>, errors: &mut Errors) {
    let (name, key) = (at.field("name"), at.field("key"));
    errors.invalid_all(&name, names::dns1123_subdomain(name.str()));
    if key.str().is_empty() {
        errors.required(&key, "");
    } else {
        errors.invalid_all(&key, names::config_map_key(key.str()));
    }
}

/// A reference to a variable in a file of a volume.
fn file_ref(at: &At<'_, '_>, errors: &mut Errors) {
    let (key, volume, path) = (at.field("key"), at.field("volumeName"), at.field("path"));
    if key.str().is_empty() {
        errors.required(&key, "");
    } else {
        errors.invalid_all(&key, names::env_var_name(key.str()));
    }
    if volume.str().is_empty() {
        errors.required(&volume, "");
    } else {
        errors.invalid_all(&volume, names::dns1123_label(volume.str()));
    }
    if path.str().is_empty() {
        errors.required(&path, "");
    } else {
        no_back_steps(&path, errors);
    }
}

/// Checks that variables are read from files of volumes that a pod has and can write to.
pub(super) fn validate_files(spec: &At<'_, '_>, errors: &mut Errors) {
    let volumes = spec.field("volumes");
    for list in CONTAINER_LISTS {
        let list = spec.field(list);
        for container in list.items() {
            let env = container.field("env");
            for variable in env.items() {
                let from = variable.field("valueFrom");
                let file = from.field("fileKeyRef");
                if !file.is_set() {
                    continue;
                }
                let name = file.field("volumeName");
                let named = |v: &&Value| v.get("name").and_then(Value::as_str) == Some(name.str());
                match volumes.values().find(named) {
                    None => errors.not_found(&name),
                    Some(volume) if volume.get("emptyDir").is_none() => {
                        errors.invalid(&name, "referenced volume must be of type emptyDir");
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Checks `envFrom`. Kubernetes' paths do not say which one has no source.
pub(super) fn validate_from(list: &At<'_, '_>, errors: &mut Errors) {
    for item in list.items() {
        let prefix = item.field("prefix");
        if !prefix.str().is_empty() {
            errors.invalid_all(&prefix, names::env_var_name(prefix.str()));
        }
        let mut sources = 0;
        for source in ["configMapRef", "secretRef"] {
            let source = item.field(source);
            if !source.is_set() {
                continue;
            }
            sources += 1;
            let name = source.field("name");
            if name.str().is_empty() {
                errors.required(&name, "");
            } else {
                let masked = masked(name.str(), true);
                errors.invalid_all(&name, names::dns1123_subdomain(&masked));
            }
        }
        match sources {
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.invalid_as(list, "", detail);
            }
            1 => {}
            _ => {
                let detail = "may not have more than one field specified at a time";
                errors.invalid_as(list, "", detail);
            }
        }
    }
}
