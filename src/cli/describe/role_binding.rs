//! RoleBindings and ClusterRoleBindings. Kubernetes: kubectl's describers of them.

use super::Scene;
use super::text::{Text, at, list};
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.labels_and_annotations(object);
    out.line(0, "Role:");
    out.field(1, "Kind", at(object, "/roleRef/kind"));
    out.field(1, "Name", at(object, "/roleRef/name"));
    out.line(0, "Subjects:");
    out.line(1, "Kind\tName\tNamespace");
    out.line(1, "----\t----\t---------");
    for subject in list(object, "/subjects") {
        let line = ["/kind", "/name", "/namespace"];
        let line = line.map(|pointer| at(subject, pointer));
        out.line(1, line.join("\t"));
    }
}
