//! ReplicationControllers. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, or_none, pairs};
use super::workload::{conditions, count, pods_status};
use super::{Scene, template};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let labels = pairs(object.pointer("/spec/selector")).join(",");
    out.field(0, "Selector", or_none(&labels));
    out.labels_and_annotations(object);
    let (current, desired) = (
        count(object, "/status/replicas"),
        count(object, "/spec/replicas"),
    );
    let replicas = format!("{current} current / {desired} desired");
    out.field(0, "Replicas", replicas);
    pods_status(scene, object, &labels, out).await;
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
    conditions(object, out);
}
