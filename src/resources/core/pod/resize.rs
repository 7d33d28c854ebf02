//! What a resize of a pod may change: cpu and memory. Must not resize.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodResize.

use super::qos::qos_class;
use super::update::{length, take_each};
use crate::meta::{FieldError, Object};
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};

const LISTS: [&str; 2] = ["containers", "initContainers"];
const ONLY: &str = "only cpu and memory resources are mutable";

/// Checks a resize.
pub(super) fn validate(new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(new, "spec");
    let old_spec = old.get(&["spec"]).unwrap_or(&Value::Null);
    if qos_class(spec.value) != qos_class(old_spec) {
        let class = new.str_at(&["status", "qosClass"]);
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.invalid_as(&spec, class, detail);
    }
    let before = errors.0.len();
    same_containers(&spec, old_spec, &mut errors);
    if errors.0.len() > before {
        return errors.0;
    }
    for list in LISTS.iter().rev() {
        let list = spec.field(list);
        for (container, old) in list.items().zip(containers(old_spec, &list)) {
            removed(&container.field("resources"), old, &mut errors);
        }
    }
    let mut masked = spec.value.clone();
    for list in LISTS {
        let list = spec.field(list);
        for (container, old) in list.items().zip(containers(old_spec, &list)) {
            let mut changed = container.value.clone();
            if let Some(fields) = changed.as_object_mut() {
                keep_amounts(fields, old);
            }
            if changed != *old {
                errors.forbidden(&spec, ONLY);
            }
        }
    }
    if !errors.0.is_empty() {
        return errors.0;
    }
    if let Some(fields) = masked.as_object_mut() {
        for list in LISTS {
            take_each(fields, old_spec, list, "resources");
        }
    }
    if masked != *old_spec {
        errors.forbidden(&spec, ONLY);
    }
    errors.0
}

fn containers<'v>(spec: &'v Value, list: &At<'_, '_>) -> impl Iterator<Item = &'v Value> {
    let path = list.path();
    let name = path.strip_prefix("spec.").unwrap_or_default();
    let list = spec.get(name).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn same_containers(spec: &At<'_, '_>, old_spec: &Value, errors: &mut Errors) {
    for name in LISTS {
        let list = spec.field(name);
        if list.len() != length(old_spec, name) {
            let detail = format!("{name} may not be added or removed on resize");
            errors.forbidden(&list, detail);
            continue;
        }
        for (container, old) in list.items().zip(containers(old_spec, &list)) {
            if container.value.get("name") != old.get("name") {
                let detail = format!("{name} may not be renamed or reordered on resize");
                errors.forbidden(&container.field("name"), detail);
            }
        }
    }
}

/// What was asked for once stays asked for, in another amount.
fn removed(resources: &At<'_, '_>, old: &Value, errors: &mut Errors) {
    for list in ["requests", "limits"] {
        let at = resources.field(list);
        let olds = old.get("resources").and_then(|r| r.get(list)?.as_object());
        let mut olds = olds.into_iter().flatten();
        if olds.any(|(name, _)| at.value.get(name).is_none()) {
            errors.forbidden(&at, format!("resource {list} cannot be removed"));
        }
    }
}

/// A container with the old amounts of cpu and memory.
fn keep_amounts(container: &mut Map<String, Value>, old: &Value) {
    let Some(resources) = container
        .get_mut("resources")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for list in ["requests", "limits"] {
        let olds = old.get("resources").and_then(|r| r.get(list)?.as_object());
        let mut kept = match resources.remove(list) {
            Some(Value::Object(amounts)) => amounts,
            _ => Map::new(),
        };
        for name in ["cpu", "memory"] {
            kept.remove(name);
            if let Some(amount) = olds.and_then(|olds| olds.get(name)) {
                kept.insert(name.to_owned(), amount.clone());
            }
        }
        if !kept.is_empty() {
            resources.insert(list.to_owned(), Value::Object(kept));
        }
    }
}
