//! PriorityClasses. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at, is_true, or_none, pairs};
use super::workload::count;
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Value", count(object, "/value"));
    let default = is_true(object, "/globalDefault").to_string();
    out.field(0, "GlobalDefault", default);
    out.field(0, "PreemptionPolicy", at(object, "/preemptionPolicy"));
    out.field(0, "Description", at(object, "/description"));
    // Kubernetes: all annotations on one line.
    let annotations = pairs(object.pointer("/metadata/annotations")).join(",");
    out.field(0, "Annotations", or_none(&annotations));
}
