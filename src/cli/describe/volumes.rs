//! The volumes of a pod. Must not know what mounts them. Kubernetes: kubectl's `describeVolumes`.

use super::persistent_volume_claim::describe_template;
use super::text::{Text, at, is_true, list, number, quantity};
use super::volume_sources::{self, Of};
use serde_json::Value;

/// Volumes; `inside` a description they stand further in.
pub(super) fn describe(volumes: &[Value], inside: bool, out: &mut Text) {
    let (level, more) = if inside { (1, " ") } else { (0, "") };
    if volumes.is_empty() {
        out.field(level, "Volumes", "<none>");
        return;
    }
    out.line(level, "Volumes:");
    for volume in volumes {
        out.line(1, format!("{more}{}:", at(volume, "/name")));
        describe_source(volume, Of::Pod, out);
    }
}

/// Where a volume comes from.
pub(super) fn describe_source(volume: &Value, of: Of, out: &mut Text) {
    let optional = |source: &Value| is_true(source, "/optional").to_string();
    if let Some(path) = volume.get("hostPath") {
        out.field(2, "Type", "HostPath (bare host directory volume)");
        out.field(2, "Path", at(path, "/path"));
        let kind = path.get("type").and_then(Value::as_str);
        out.field(2, "HostPathType", kind.unwrap_or("<none>"));
    } else if let Some(empty) = volume.get("emptyDir") {
        let words = "EmptyDir (a temporary directory that shares a pod's lifetime)";
        out.field(2, "Type", words);
        out.field(2, "Medium", at(empty, "/medium"));
        let limit = empty.get("sizeLimit").map(quantity);
        let limit = limit.filter(|limit| limit != "0");
        out.field(2, "SizeLimit", limit.as_deref().unwrap_or("<unset>"));
    } else if let Some(secret) = volume.get("secret") {
        out.field(2, "Type", "Secret (a volume populated by a Secret)");
        out.field(2, "SecretName", at(secret, "/secretName"));
        out.field(2, "Optional", optional(secret));
    } else if let Some(map) = volume.get("configMap") {
        out.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
        out.field(2, "Name", at(map, "/name"));
        out.field(2, "Optional", optional(map));
    } else if let Some(projected) = volume.get("projected") {
        let words = "Projected (a volume that contains injected data from multiple sources)";
        out.field(2, "Type", words);
        for source in list(projected, "/sources") {
            describe_projected(source, out);
        }
    } else if let Some(info) = volume.get("downwardAPI") {
        let words = "DownwardAPI (a volume populated by information about the pod)";
        out.field(2, "Type", words);
        out.line(2, "Items:");
        for item in list(info, "/items") {
            let from = match item.get("fieldRef") {
                Some(field) => at(field, "/fieldPath"),
                None => at(item, "/resourceFieldRef/resource"),
            };
            out.line(3, format!("{from} -> {}", at(item, "/path")));
        }
    } else if let Some(claim) = volume.get("persistentVolumeClaim") {
        let words = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same \
                     namespace)";
        out.field(2, "Type", words);
        out.field(2, "ClaimName", at(claim, "/claimName"));
        out.field(2, "ReadOnly", is_true(claim, "/readOnly").to_string());
    } else if let Some(ephemeral) = volume.get("ephemeral") {
        let words = "EphemeralVolume (an inline specification for a volume that gets created and \
                     deleted with the pod)";
        out.field(2, "Type", words);
        if let Some(template) = ephemeral.get("volumeClaimTemplate") {
            describe_template(template, out);
        }
    } else if !volume_sources::describe(volume, of, out) {
        out.line(1, "<unknown>");
    }
}

fn describe_projected(source: &Value, out: &mut Text) {
    let optional = |source: &Value| is_true(source, "/optional").to_string();
    if let Some(secret) = source.get("secret") {
        out.field(2, "SecretName", at(secret, "/name"));
        out.field(2, "Optional", optional(secret));
    } else if source.get("downwardAPI").is_some() {
        out.field(2, "DownwardAPI", "true");
    } else if let Some(map) = source.get("configMap") {
        out.field(2, "ConfigMapName", at(map, "/name"));
        out.field(2, "Optional", optional(map));
    } else if let Some(token) = source.get("serviceAccountToken") {
        let seconds = number(token, "/expirationSeconds").unwrap_or_default();
        out.field(2, "TokenExpirationSeconds", seconds);
    }
}
