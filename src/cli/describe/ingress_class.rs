//! IngressClasses. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at};
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.labels_and_annotations(object);
    out.field(0, "Controller", at(object, "/spec/controller"));
    if let Some(parameters) = object.pointer("/spec/parameters") {
        out.line(0, "Parameters:");
        out.field_if(1, "APIGroup", at(parameters, "/apiGroup"));
        out.field(1, "Kind", at(parameters, "/kind"));
        out.field(1, "Name", at(parameters, "/name"));
    }
}
