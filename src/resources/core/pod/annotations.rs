//! Annotations that mean something to a pod. Must not know what they do.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodSpecificAnnotations and its update.

use crate::meta::Object;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// A pod that a node made by itself, shown by the API.
const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Checks the annotations of a pod.
pub(super) fn validate(pod: &Object, errors: &mut Errors) {
    let metadata = At::of(pod, "metadata");
    let annotations = metadata.field("annotations");
    let mirror = annotations.key(MIRROR);
    if mirror.is_set() && pod.str_at(&["spec", "nodeName"]).is_empty() {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.invalid(&mirror, detail);
    }
    let cost = annotations.key(DELETION_COST);
    if cost.is_set() && !is_cost(cost.str()) {
        errors.invalid(&cost, "must be a 32bit integer");
    }
}

/// As Go reads a number, without a plus and without zeros before it.
fn is_cost(text: &str) -> bool {
    let first = text.bytes().next().unwrap_or_default();
    let starts = text == "0" || first == b'-' || (b'1'..=b'9').contains(&first);
    starts && text.parse::<i32>().is_ok()
}

/// Checks what an update does to the annotations.
pub(super) fn validate_update(new: &Object, old: &Object, errors: &mut Errors) {
    let metadata = At::of(new, "metadata");
    let annotations = metadata.field("annotations");
    let old_metadata = At::of(old, "metadata");
    let olds = old_metadata.field("annotations");
    for (key, value) in olds.entries() {
        if annotations.value.get(key) != Some(value) {
            if key.starts_with(APP_ARMOR) {
                let detail = "may not remove or update AppArmor annotations";
                errors.forbidden(&annotations.key(key), detail);
            }
            if key == MIRROR {
                let detail = "may not remove or update mirror pod annotation";
                errors.forbidden(&annotations.key(key), detail);
            }
        }
    }
    for (key, _) in annotations.entries() {
        if olds.value.get(key).unwrap_or(&Value::Null) != &Value::Null {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            errors.forbidden(&annotations.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            errors.forbidden(&annotations.key(key), "may not add mirror pod annotation");
        }
    }
}
