//! LimitRanges. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::namespace::{limit_lines, limit_titles};
use super::text::{Text, at, list};
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    limit_titles("", out);
    for item in list(object, "/spec/limits") {
        limit_lines("", item, out);
    }
}
