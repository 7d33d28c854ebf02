//! PersistentVolumes, with where they are. Kubernetes: kubectl's describer of them.

use super::persistent_volume_claim::{access_modes, class, status};
use super::text::{Text, at, go_list, list, quantity};
use super::volume_sources::Of;
use super::{Scene, volumes};
use serde_json::Value;

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.labels_and_annotations(object);
    let finalizers = go_list(object, "/metadata/finalizers");
    out.field(0, "Finalizers", finalizers);
    out.field(0, "StorageClass", class(object));
    out.field(0, "Status", status(scene, object));
    let claim = object.pointer("/spec/claimRef");
    let claim = claim.map(|claim| format!("{}/{}", at(claim, "/namespace"), at(claim, "/name")));
    out.field(0, "Claim", claim.unwrap_or_default());
    let policy = at(object, "/spec/persistentVolumeReclaimPolicy");
    out.field(0, "Reclaim Policy", policy);
    let modes = access_modes(object, "/spec/accessModes");
    out.field(0, "Access Modes", modes);
    out.field_if(0, "VolumeMode", at(object, "/spec/volumeMode"));
    let capacity = object.pointer("/spec/capacity/storage");
    let capacity = capacity.map_or_else(|| "0".to_owned(), quantity);
    out.field(0, "Capacity", capacity);
    describe_nodes(object.pointer("/spec/nodeAffinity/required"), out);
    out.field(0, "Message", at(object, "/status/message"));
    out.line(0, "Source:");
    let source = object.pointer("/spec").unwrap_or(&Value::Null);
    volumes::describe_source(source, Of::PersistentVolume, out);
}

fn describe_nodes(required: Option<&Value>, out: &mut Text) {
    let Some(required) = required else {
        out.field(0, "Node Affinity", "<none>");
        return;
    };
    out.field(0, "Node Affinity", "");
    let terms = list(required, "/nodeSelectorTerms");
    let none = if terms.is_empty() { "<none>" } else { "" };
    out.field(1, "Required Terms", none);
    for (number, term) in terms.iter().enumerate() {
        let lines = list(term, "/matchExpressions").iter().map(|expression| {
            let operator = at(expression, "/operator").to_lowercase();
            let values = list(expression, "/values").iter().filter_map(Value::as_str);
            let values: Vec<&str> = values.collect();
            let values = match values.is_empty() {
                true => String::new(),
                false => format!(" [{}]", values.join(", ")),
            };
            format!("{} {operator}{values}", at(expression, "/key"))
        });
        let lines: Vec<String> = lines.collect();
        out.column(&format!("    Term {number}"), &lines);
    }
}
