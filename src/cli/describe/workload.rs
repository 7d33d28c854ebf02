//! What the describers of workloads share: counts, selectors, conditions, the state of their pods.
//! Must not know a kind. Kubernetes: kubectl's `getPodStatusForController` and its neighbours.

use super::Scene;
use super::text::{Text, at, list, number};
use crate::client::Query;
use crate::meta::{GroupVersionResource, Selector};
use serde_json::Value;

/// A count at a pointer; `0` if there is none.
pub(super) fn count(object: &Value, pointer: &str) -> String {
    number(object, pointer).unwrap_or_else(|| "0".to_owned())
}

/// A number or a percentage at a pointer.
pub(super) fn number_or_text(object: &Value, pointer: &str) -> Option<String> {
    match object.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of a label selector; empty if it has no conditions.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    match Selector::from_label_selector(object.pointer(pointer)) {
        Ok(selector) => selector.to_string(),
        Err(error) => format!("Failed to get selector: {error}"),
    }
}

/// The text of a label selector; `<none>` if it has no conditions. Kubernetes:
/// `FormatLabelSelector`.
pub(super) fn selector_or_none(selector: Option<&Value>) -> String {
    match Selector::from_label_selector(selector).map(|selector| selector.to_string()) {
        Ok(text) if text.is_empty() => "<none>".to_owned(),
        Ok(text) => text,
        Err(_) => "<error>".to_owned(),
    }
}

/// Whether an object is controlled by what has this uid.
pub(super) fn is_controlled_by(object: &Value, uid: &str) -> bool {
    controller(object).is_some_and(|owner| at(owner, "/uid") == uid)
}

/// Who controls an object, if anybody does.
pub(super) fn controlled_by(object: &Value, out: &mut Text) {
    if let Some(owner) = controller(object) {
        let owner = format!("{}/{}", at(owner, "/kind"), at(owner, "/name"));
        out.field(0, "Controlled By", owner);
    }
}

fn controller(object: &Value) -> Option<&Value> {
    let mut owners = list(object, "/metadata/ownerReferences").iter();
    owners.find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// How many pods of a workload are in which phase. `labels` is the text of its selector.
pub(super) async fn pods_status(scene: &Scene<'_>, object: &Value, labels: &str, out: &mut Text) {
    let query = Query::new().with("labelSelector", labels);
    let pods = GroupVersionResource::new("", "v1", "pods");
    let namespace = at(object, "/metadata/namespace");
    let found = scene.client.list::<Value>(&pods, namespace, &query).await;
    let pods = match found {
        Ok(found) => found.items,
        Err(error) => {
            let error = format!("error in fetching pods: {error}");
            out.field(0, "Pods Status", error);
            return;
        }
    };
    let uid = at(object, "/metadata/uid");
    let count = |phase: &str| {
        let own = pods.iter().filter(|pod| is_controlled_by(pod, uid));
        own.filter(|pod| at(pod, "/status/phase") == phase).count()
    };
    let line = format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed"),
    );
    out.field(0, "Pods Status", line);
}

/// Conditions without times and messages.
pub(super) fn conditions(object: &Value, out: &mut Text) {
    let conditions = list(object, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.line(1, "Type\tStatus\tReason");
    out.line(1, "----\t------\t------");
    for condition in conditions {
        let (kind, status) = (at(condition, "/type"), at(condition, "/status"));
        out.line(
            1,
            format!("{kind} \t{status}\t{}", at(condition, "/reason")),
        );
    }
}
