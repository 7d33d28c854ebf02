//! ReplicaSets. Kubernetes: kubectl's describer of them.

use super::text::{Text, at};
use super::workload::{conditions, controlled_by, count, pods_status, selector, selector_or_none};
use super::{Scene, template};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let shown = selector_or_none(object.pointer("/spec/selector"));
    out.field(0, "Selector", shown);
    out.labels_and_annotations(object);
    controlled_by(object, out);
    let (current, desired) = (
        count(object, "/status/replicas"),
        count(object, "/spec/replicas"),
    );
    let replicas = format!("{current} current / {desired} desired");
    out.field(0, "Replicas", replicas);
    let labels = selector(object, "/spec/selector");
    pods_status(scene, object, &labels, out).await;
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
    conditions(object, out);
}
