//! Conditions of a status: found, set, removed. Pure.
//! Kubernetes: `pkg/controller/replicaset/replica_set_utils.go`,
//! `pkg/controller/deployment/util/deployment_util.go`.

use crate::meta::Object;
use serde_json::{Map, Value};

/// The conditions of an object's status.
pub(super) fn of(object: &Object) -> Vec<Value> {
    let conditions = object.get(&["status", "conditions"]);
    conditions
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The condition of a type.
pub(super) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions
        .iter()
        .find(|condition| text(condition, "type") == kind)
}

/// A field of a condition.
pub(super) fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Sets a condition, unless one of the same status and reason stands there; it has changed when it
/// last had another status.
pub(super) fn set(conditions: &mut Vec<Value>, mut condition: Value) {
    let kind = text(&condition, "type").to_owned();
    if let Some(current) = find(conditions, &kind)
        && text(current, "status") == text(&condition, "status")
    {
        if text(current, "reason") == text(&condition, "reason") {
            return;
        }
        let since = current.get("lastTransitionTime").cloned();
        if let (Some(since), Some(fields)) = (since, condition.as_object_mut()) {
            fields.insert("lastTransitionTime".to_owned(), since);
        }
    }
    remove(conditions, &kind);
    conditions.push(condition);
}

/// Takes a condition away.
pub(super) fn remove(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|condition| text(condition, "type") != kind);
}

/// Puts conditions into a status; none are no field.
pub(super) fn put(status: &mut Map<String, Value>, conditions: Vec<Value>) {
    if conditions.is_empty() {
        status.remove("conditions");
    } else {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
}
