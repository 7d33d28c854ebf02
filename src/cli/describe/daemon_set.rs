//! DaemonSets. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, or_none, pairs};
use super::workload::{count, pods_status, selector};
use super::{Scene, template};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let labels = selector(object, "/spec/selector");
    out.field(0, "Selector", &labels);
    let nodes = pairs(object.pointer("/spec/template/spec/nodeSelector")).join(",");
    out.field(0, "Node-Selector", or_none(&nodes));
    out.labels_and_annotations(object);
    for (title, field) in [
        (
            "Desired Number of Nodes Scheduled",
            "desiredNumberScheduled",
        ),
        (
            "Current Number of Nodes Scheduled",
            "currentNumberScheduled",
        ),
        (
            "Number of Nodes Scheduled with Up-to-date Pods",
            "updatedNumberScheduled",
        ),
        (
            "Number of Nodes Scheduled with Available Pods",
            "numberAvailable",
        ),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        let count = count(object, &format!("/status/{field}"));
        out.line(0, format!("{title}: {count}"));
    }
    pods_status(scene, object, &labels, out).await;
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
}
