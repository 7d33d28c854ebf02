//! StatefulSets, with the claims of their pods. Kubernetes: kubectl's describer of them.

use super::persistent_volume_claim::class;
use super::text::{Text, at, go_list, list, pairs, quantity, time};
use super::workload::{count, number_or_text, pods_status, selector};
use super::{Scene, template};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let created = time(at(object, "/metadata/creationTimestamp"));
    out.field(0, "CreationTimestamp", created);
    let labels = selector(object, "/spec/selector");
    out.field(0, "Selector", &labels);
    out.labels_and_annotations(object);
    let (desired, total) = (
        count(object, "/spec/replicas"),
        count(object, "/status/replicas"),
    );
    let replicas = format!("{desired} desired | {total} total");
    out.field(0, "Replicas", replicas);
    let strategy = object.pointer("/spec/updateStrategy");
    let strategy = strategy.unwrap_or(&Value::Null);
    out.field(0, "Update Strategy", at(strategy, "/type"));
    // Kubernetes: without a partition nothing is said of a rolling update.
    if let Some(partition) = number_or_text(strategy, "/rollingUpdate/partition") {
        out.field(1, "Partition", partition);
        let most = number_or_text(strategy, "/rollingUpdate/maxUnavailable");
        out.field_if(1, "MaxUnavailable", most.unwrap_or_default());
    }
    pods_status(scene, object, &labels, out).await;
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
    describe_claims(list(object, "/spec/volumeClaimTemplates"), out);
}

fn describe_claims(claims: &[Value], out: &mut Text) {
    if claims.is_empty() {
        out.field(0, "Volume Claims", "<none>");
        return;
    }
    out.line(0, "Volume Claims:");
    for claim in claims {
        out.field(1, "Name", at(claim, "/metadata/name"));
        out.field(1, "StorageClass", class(claim));
        out.column("  Labels", &pairs(claim.pointer("/metadata/labels")));
        // Kubernetes: here annotations are shown as labels are.
        let annotations = pairs(claim.pointer("/metadata/annotations"));
        out.column("  Annotations", &annotations);
        let capacity = claim.pointer("/spec/resources/requests/storage");
        let capacity = capacity.map(quantity);
        out.field(1, "Capacity", capacity.as_deref().unwrap_or("<default>"));
        let modes = go_list(claim, "/spec/accessModes");
        out.field(1, "Access Modes", modes);
    }
}
