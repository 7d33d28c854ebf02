//! What an update of a pod may change: little of the spec, by part. Must not know who asks.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodUpdate, ValidatePodEphemeralContainersUpdate.

use super::{diff, gated};
use crate::meta::{FieldError, Object};
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,\
`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks an update of the pod itself.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let old_spec = old.get(&["spec"]).unwrap_or(&Value::Null);
    for list in ["containers", "initContainers"] {
        let list = spec.field(list);
        let name = list.path();
        let name = name.strip_prefix("spec.").unwrap_or_default();
        if list.len() != length(old_spec, name) {
            errors.forbidden(&list, "pod updates may not add or remove containers");
            return errors.0;
        }
    }
    if !deadline(&spec.field("activeDeadlineSeconds"), old_spec, &mut errors) {
        return errors.0;
    }
    tolerations(&spec.field("tolerations"), old_spec, &mut errors);
    gates(&spec.field("schedulingGates"), old_spec, &mut errors);
    let mut masked = masked_spec(spec.value, old_spec);
    if length(old_spec, "schedulingGates") > 0 {
        gated::check(&spec, old_spec, &mut errors);
        gated::mask(&mut masked, old_spec);
    }
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
    take(spec, old, "schedulingGates");
    take(spec, old, "tolerations");
    let grace = |spec: &Value| spec.get("terminationGracePeriodSeconds")?.as_i64();
    if grace(old).is_some_and(|n| n < 0) && grace(new) == Some(1) {
        take(spec, old, "terminationGracePeriodSeconds");
    }
    masked
}

pub(super) fn take(spec: &mut Map<String, Value>, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => spec.insert(field.to_owned(), value.clone()),
        None => spec.remove(field),
    };
}

pub(super) fn take_each(spec: &mut Map<String, Value>, old: &Value, list: &str, field: &str) {
    let olds = old.get(list).and_then(Value::as_array);
    let news = spec.get_mut(list).and_then(Value::as_array_mut);
    for (new, old) in news.into_iter().flatten().zip(olds.into_iter().flatten()) {
        if let Some(new) = new.as_object_mut() {
            take(new, old, field);
        }
    }
}

pub(super) fn length(spec: &Value, list: &str) -> usize {
    spec.get(list).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Whether the rest is worth checking.
fn deadline(new: &At<'_, '_>, old: &Value, errors: &mut Errors) -> bool {
    let old = old.get("activeDeadlineSeconds").and_then(Value::as_i64);
    match (old, new.int()) {
        (_, Some(n)) if !(0..=i64::from(i32::MAX)).contains(&n) => {
            errors.invalid(new, "must be between 0 and 2147483647, inclusive");
            false
        }
        (Some(old), Some(n)) if n > old => {
            errors.invalid(new, "must be less than or equal to previous value");
            false
        }
        (Some(_), None) => {
            errors.invalid(new, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
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
        let name = gate.field("name");
        let detail = format!(
            "only deletion is allowed, but found new scheduling gate '{}'",
            name.str()
        );
        errors.forbidden(&name, detail);
    }
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
