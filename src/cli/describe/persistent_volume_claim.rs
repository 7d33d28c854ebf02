//! PersistentVolumeClaims, and the templates of them that stand in pods. Kubernetes: kubectl's
//! describer of them.

use super::Scene;
use super::text::{Text, annotation_lines, at, go_list, list, pairs, quantity, time};
use crate::client::Query;
use crate::meta::time::age;
use serde_json::Value;

/// The annotation in which a class once stood.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Short names of the access modes, in the order in which they are shown.
const MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    let (name, namespace) = (
        at(object, "/metadata/name"),
        at(object, "/metadata/namespace"),
    );
    out.field(0, "Name", name);
    out.field(0, "Namespace", namespace);
    out.field(0, "StorageClass", class(object));
    out.field(0, "Status", status(scene, object));
    out.field(0, "Volume", at(object, "/spec/volumeName"));
    out.labels_and_annotations(object);
    let finalizers = go_list(object, "/metadata/finalizers");
    out.field(0, "Finalizers", finalizers);
    describe_spec(0, object, out);
    let query = Query::new();
    let pods = scene.list(("", "v1", "pods"), namespace, &query);
    let mut pods = pods.await.unwrap_or_default();
    pods.retain(|pod| {
        let mut volumes = list(pod, "/spec/volumes").iter();
        volumes.any(|volume| at(volume, "/persistentVolumeClaim/claimName") == name)
    });
    let users = pods.iter().map(|pod| at(pod, "/metadata/name").to_owned());
    let mut users: Vec<String> = users.collect();
    users.sort();
    out.column("Used By", &users);
    describe_conditions(list(object, "/status/conditions"), out);
}

/// A claim as it stands in a pod's volume.
pub(super) fn describe_template(template: &Value, out: &mut Text) {
    out.field(2, "StorageClass", class(template));
    out.field(2, "Volume", at(template, "/spec/volumeName"));
    let labels = pairs(template.pointer("/metadata/labels"));
    out.column_inside("Labels", &labels, 2);
    let annotations = annotation_lines(template.pointer("/metadata/annotations"));
    out.column_inside("Annotations", &annotations, 0);
    describe_spec(2, template, out);
}

fn describe_spec(level: usize, object: &Value, out: &mut Text) {
    let (mut capacity, mut modes) = (String::new(), String::new());
    if !at(object, "/spec/volumeName").is_empty() {
        let bound = object.pointer("/status/capacity/storage");
        capacity = bound.map_or_else(|| "0".to_owned(), quantity);
        modes = access_modes(object, "/status/accessModes");
    }
    out.field(level, "Capacity", capacity);
    out.field(level, "Access Modes", modes);
    out.field_if(level, "VolumeMode", at(object, "/spec/volumeMode"));
    if let Some(source) = object.pointer("/spec/dataSource") {
        out.line(level, "DataSource:");
        out.field_if(level + 1, "APIGroup", at(source, "/apiGroup"));
        out.field(level + 1, "Kind", at(source, "/kind"));
        out.field(level + 1, "Name", at(source, "/name"));
    }
}

fn describe_conditions(conditions: &[Value], out: &mut Text) {
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    let titles = "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage";
    out.line(1, titles);
    let rules = "----\t------\t-----------------\t------------------\t------\t-------";
    out.line(1, rules);
    for condition in conditions {
        let moment = |pointer: &str| match time(at(condition, pointer)) {
            // Kubernetes: what Go says of a time that was never set.
            unset if unset.is_empty() => "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
            moment => moment,
        };
        let line = [
            at(condition, "/type"),
            at(condition, "/status"),
            &moment("/lastProbeTime"),
            &moment("/lastTransitionTime"),
            at(condition, "/reason"),
            at(condition, "/message"),
        ];
        out.line(1, line.join(" \t"));
    }
}

/// The phase, or since when it is being deleted.
pub(super) fn status(scene: &Scene<'_>, object: &Value) -> String {
    match at(object, "/metadata/deletionTimestamp") {
        "" => at(object, "/status/phase").to_owned(),
        deleted => format!("Terminating (lasts {})", age(deleted, scene.now)),
    }
}

/// The storage class of a claim or a volume; empty if it has none.
pub(super) fn class(object: &Value) -> &str {
    let annotations = object.pointer("/metadata/annotations");
    let old = annotations.and_then(|annotations| annotations.get(CLASS));
    match old.and_then(Value::as_str) {
        Some(class) => class,
        None => at(object, "/spec/storageClassName"),
    }
}

/// `RWO,RWX`.
pub(super) fn access_modes(object: &Value, pointer: &str) -> String {
    let modes = list(object, pointer);
    let has = |mode: &str| modes.iter().any(|own| own.as_str() == Some(mode));
    let shown = MODES.into_iter().filter(|pair| has(pair.0));
    let shown: Vec<&str> = shown.map(|pair| pair.1).collect();
    shown.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modes_are_shown_once_and_in_order() {
        let object = json!({"modes": ["ReadWriteMany", "ReadWriteOnce", "ReadWriteMany"]});
        assert_eq!(access_modes(&object, "/modes"), "RWO,RWX");
    }

    #[test]
    fn the_old_annotation_names_the_class() {
        let mut object = json!({"spec": {"storageClassName": "new"}});
        assert_eq!(class(&object), "new");
        object["metadata"]["annotations"][CLASS] = json!("old");
        assert_eq!(class(&object), "old");
    }
}
