//! PodDisruptionBudgets. Kubernetes: kubectl's describer of them.

use super::Scene;
use super::text::{Text, at};
use super::workload::{count, number_or_text, selector_or_none};
use serde_json::Value;

pub(super) async fn describe(_: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    if let Some(least) = number_or_text(object, "/spec/minAvailable") {
        out.field(0, "Min available", least);
    } else if let Some(most) = number_or_text(object, "/spec/maxUnavailable") {
        out.field(0, "Max unavailable", most);
    }
    let labels = match object.pointer("/spec/selector") {
        Some(selector) => selector_or_none(Some(selector)),
        None => "<unset>".to_owned(),
    };
    out.field(0, "Selector", labels);
    out.line(0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        out.field(2, title, count(object, &format!("/status/{field}")));
    }
}
