//! What an update of a pod may change: little of the spec, by part. Must not know who asks.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodUpdate, ValidatePodStatusUpdate,
//! ValidatePodEphemeralContainersUpdate, ValidatePodResize.

use super::diff;
use crate::meta::{FieldError, Object};
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,\
`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const RESIZABLE: &str = "cpu and memory resources";

/// Checks an update of the pod itself.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let old_spec = old.get(&["spec"]).unwrap_or(&Value::Null);
    let lengths = [
        ("containers", "pod updates may not add or remove containers"),
        (
            "initContainers",
            "pod updates may not add or remove containers",
        ),
    ];
    let mut same = true;
    for (list, detail) in lengths {
        if spec.field(list).len() != length(old_spec, list) {
            errors.forbidden(&spec.field(list), detail);
            same = false;
        }
    }
    if !same {
        return errors.0;
    }
    deadline(&spec.field("activeDeadlineSeconds"), old_spec, &mut errors);
    tolerations(&spec.field("tolerations"), old_spec, &mut errors);
    gates(&spec.field("schedulingGates"), old_spec, &mut errors);
    let masked = masked_spec(spec.value, old_spec);
    if masked != *old_spec {
        errors.forbidden(
            &spec,
            format!(
                "pod updates may not change fields other than {UPDATABLE}\n{}",
                diff::of(old_spec, &masked)
            ),
        );
    }
    errors.0
}

/// The new spec with what may change taken from the old one.
fn masked_spec(new: &Value, old: &Value) -> Value {
    let mut masked = new.clone();
    let Some(spec) = masked.as_object_mut() else {
        return masked;
    };
    for list in ["containers", "initContainers"] {
        take_each(spec, old, list, "image");
    }
    take(spec, old, "activeDeadlineSeconds");
    take(spec, old, "tolerations");
    let grace = |spec: &Value| spec.get("terminationGracePeriodSeconds")?.as_i64();
    if grace(old).is_some_and(|n| n < 0) && grace(new) == Some(1) {
        take(spec, old, "terminationGracePeriodSeconds");
    }
    // A gated pod may lose gates and be tied to fewer nodes.
    if length(old, "schedulingGates") > 0 {
        take(spec, old, "schedulingGates");
        if narrows(new.get("nodeSelector"), old.get("nodeSelector")) {
            take(spec, old, "nodeSelector");
        }
        let node = |spec: &Value| {
            spec.get("affinity")
                .and_then(|a| a.get("nodeAffinity"))
                .cloned()
        };
        if node(old).is_none() {
            if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
                affinity.remove("nodeAffinity");
            }
            let empty = spec.get("affinity") == Some(&Value::Object(Map::new()));
            if empty && old.get("affinity").is_none() {
                spec.remove("affinity");
            }
        }
    }
    masked
}

fn narrows(new: Option<&Value>, old: Option<&Value>) -> bool {
    let old = old.and_then(Value::as_object).into_iter().flatten();
    old.into_iter()
        .all(|(key, value)| new.and_then(|new| new.get(key)) == Some(value))
}

fn take(spec: &mut Map<String, Value>, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => spec.insert(field.to_owned(), value.clone()),
        None => spec.remove(field),
    };
}

fn take_each(spec: &mut Map<String, Value>, old: &Value, list: &str, field: &str) {
    let olds = old.get(list).and_then(Value::as_array);
    let news = spec.get_mut(list).and_then(Value::as_array_mut);
    for (new, old) in news.into_iter().flatten().zip(olds.into_iter().flatten()) {
        if let Some(new) = new.as_object_mut() {
            take(new, old, field);
        }
    }
}

fn length(spec: &Value, list: &str) -> usize {
    spec.get(list).and_then(Value::as_array).map_or(0, Vec::len)
}

fn deadline(new: &At<'_, '_>, old: &Value, errors: &mut Errors) {
    let old = old.get("activeDeadlineSeconds").and_then(Value::as_i64);
    match (old, new.int()) {
        (Some(old), Some(n)) if n > old => {
            errors.invalid(new, "must be less than or equal to previous value");
        }
        (Some(_), None) => {
            errors.invalid(new, "must not update from a positive integer to nil value");
        }
        _ => {}
    }
}

/// Tolerations are added, or change their seconds; none goes away.
fn tolerations(new: &At<'_, '_>, old: &Value, errors: &mut Errors) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(fields) = toleration.as_object_mut() {
            fields.remove("tolerationSeconds");
        }
        toleration
    };
    let old = old.get("tolerations").and_then(Value::as_array);
    let kept = old.into_iter().flatten().all(|old| {
        let old = without_seconds(old);
        new.values().any(|new| without_seconds(new) == old)
    });
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(new, detail);
    }
}

fn gates(new: &At<'_, '_>, old: &Value, errors: &mut Errors) {
    let old = old.get("schedulingGates").and_then(Value::as_array);
    let old: Vec<&Value> = old.into_iter().flatten().collect();
    for gate in new.items().filter(|gate| !old.contains(&gate.value)) {
        let name = gate.field("name").str();
        let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
        errors.forbidden(&gate, detail);
    }
}

/// Checks an update of the status: a container that ended for good does not start again.
pub(super) fn validate_status(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let status = At::of(new, "status");
    let policy = new.str_at(&["spec", "restartPolicy"]);
    if policy == "Always" || has_own_restart_policies(new) {
        return errors.0;
    }
    let list = status.field("containerStatuses");
    let olds = old.get(&["status", "containerStatuses"]);
    let olds: Vec<&Value> = olds
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    for new in list.items() {
        let Some(old) = olds
            .iter()
            .find(|old| old.get("name") == new.value.get("name"))
        else {
            continue;
        };
        let ended = |status: &Value| {
            status
                .get("state")?
                .get("terminated")?
                .get("exitCode")?
                .as_i64()
        };
        let Some(code) = ended(old) else { continue };
        let may_restart = policy == "OnFailure" && code != 0;
        if !may_restart && ended(new.value).is_none() {
            let state = new.field("state");
            errors.forbidden(&state, "may not be transitioned to non-terminated state");
        }
    }
    errors.0
}

fn has_own_restart_policies(pod: &Object) -> bool {
    let list = pod.get(&["spec", "containers"]).and_then(Value::as_array);
    let mut containers = list.into_iter().flatten();
    containers.any(|c| c.get("restartPolicy").is_some())
}

/// Checks an update of the ephemeral containers: they are added, and stay.
pub(super) fn validate_ephemeral(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let list = spec.field("ephemeralContainers");
    let olds = old.get(&["spec", "ephemeralContainers"]);
    for old in olds.and_then(Value::as_array).into_iter().flatten() {
        let name = old.get("name").and_then(Value::as_str).unwrap_or_default();
        match list.values().find(|new| new.get("name") == old.get("name")) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.forbidden(&list, detail);
            }
            Some(new) if new != old => {
                let detail = format!(
                    "existing ephemeral containers {name:?} may not be changed\n{}",
                    diff::of(old, new)
                );
                errors.forbidden(&list, detail);
            }
            Some(_) => {}
        }
    }
    errors.0
}

/// Checks a resize: only the cpu and memory of containers change.
pub(super) fn validate_resize(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let old_spec = old.get(&["spec"]).unwrap_or(&Value::Null);
    let mut masked = spec.value.clone();
    if let Some(fields) = masked.as_object_mut() {
        for list in ["containers", "initContainers"] {
            take_each(fields, old_spec, list, "resources");
            take_each(fields, old_spec, list, "resizePolicy");
        }
    }
    if masked != *old_spec {
        let detail = format!(
            "only {RESIZABLE} are mutable\n{}",
            diff::of(old_spec, &masked)
        );
        errors.forbidden(&spec, detail);
    }
    let class = |pod: &Value| super::qos::qos_class(pod);
    if class(spec.value) != class(old_spec) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.invalid_as(&spec, class(spec.value), detail);
    }
    errors.0
}
