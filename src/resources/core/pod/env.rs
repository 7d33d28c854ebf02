//! Environment of containers: variables, their sources, and references to fields and amounts of
//! the pod, which volumes use too. Must not know how they are resolved.
//! Kubernetes: `pkg/apis/core/validation` validateEnv and its neighbours.

use crate::meta::names;
use crate::resources::validate::{At, Errors};

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
const CPU_DIVISORS: &str = "1m, 1";
const BYTE_DIVISORS: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
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
            "fileKeyRef" => {
                for field in ["volumeName", "path", "key"] {
                    let field = at.field(field);
                    if field.str().is_empty() {
                        errors.required(&field, "");
                    }
                }
            }
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
    if at.field("apiVersion").str().is_empty() {
        errors.required(&at.field("apiVersion"), "");
        return;
    }
    let path = at.field("fieldPath");
    if path.str().is_empty() {
        errors.required(&path, "");
        return;
    }
    if let Some((map, key)) = subscript(path.str()) {
        let wrong = match map {
            "metadata.annotations" => names::qualified_name(&key.to_lowercase()),
            "metadata.labels" => names::qualified_name(key),
            _ => {
                let detail = format!("{map:?} does not support subscript");
                errors.invalid(&path, detail);
                return;
            }
        };
        for detail in wrong {
            errors.invalid_as(&path, key, detail);
        }
        return;
    }
    let known = POD_FIELDS.contains(&path.str());
    if !known {
        let detail = format!(
            "error converting fieldPath: field label not supported: {}",
            path.str()
        );
        errors.invalid(&path, detail);
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
    if in_volume && container.str().is_empty() {
        errors.required(&container, "");
    }
    let name = resource.str();
    if name.is_empty() {
        errors.required(&resource, "");
        return;
    }
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if !AMOUNTS.contains(&name) && !huge {
        errors.not_supported(&resource, AMOUNTS);
        return;
    }
    let divisor = at.field("divisor");
    if matches!(divisor.str(), "" | "0") {
        return;
    }
    let kind = name.split_once('.').map_or(name, |(_, kind)| kind);
    let allowed = if kind == "cpu" {
        CPU_DIVISORS
    } else {
        BYTE_DIVISORS
    };
    if !allowed.split(", ").any(|one| one == divisor.str()) {
        let detail =
            format!("only divisor's values {allowed} are supported with the {kind} resource");
        errors.invalid_as(&at.field("divisor"), name, detail);
    }
}

/// A reference to a key of a ConfigMap or Secret.
fn key_ref(at: &At<'_, '_>, errors: &mut Errors) {
    let (name, key) = (at.field("name"), at.field("key"));
    if name.str().is_empty() {
        errors.required(&name, "");
    }
    if key.str().is_empty() {
        errors.required(&key, "");
    } else {
        errors.invalid_all(&key, names::config_map_key(key.str()));
    }
}

/// Checks `envFrom`.
pub(super) fn validate_from(list: &At<'_, '_>, errors: &mut Errors) {
    for item in list.items() {
        let prefix = item.field("prefix");
        if !prefix.str().is_empty() {
            errors.invalid_all(&prefix, names::env_var_name(prefix.str()));
        }
        let mut sources = 0;
        for source in ["configMapRef", "secretRef"] {
            let source = item.field(source);
            if source.is_set() {
                sources += 1;
                if source.field("name").str().is_empty() {
                    errors.required(&source.field("name"), "");
                }
            }
        }
        match sources {
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.invalid_as(&item, "", detail);
            }
            1 => {}
            _ => {
                let detail = "may not have more than one field specified at a time";
                errors.invalid_as(&item, "", detail);
            }
        }
    }
}
