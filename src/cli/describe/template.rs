//! A pod template, as it stands inside other texts. Kubernetes: kubectl's `DescribePodTemplate`.

use super::pod::{spread, toleration};
use super::text::{Text, at, list, pairs};
use super::{containers, volumes};
use serde_json::Value;

/// The template with tabs between its columns.
pub(crate) fn pod_template(template: &Value) -> String {
    let mut out = Text::default();
    describe(template, &mut out);
    out.raw()
}

/// The template inside the description of what makes pods of it.
pub(super) fn describe(template: &Value, out: &mut Text) {
    out.line(0, "Pod Template:");
    out.column("  Labels", &pairs(template.pointer("/metadata/labels")));
    let annotations = template.pointer("/metadata/annotations");
    if annotations.is_some_and(|map| map.as_object().is_some_and(|map| !map.is_empty())) {
        out.annotations("  Annotations", annotations);
    }
    let account = at(template, "/spec/serviceAccountName");
    out.field_if(1, "Service Account", account);
    containers::describe_all(template, true, out);
    volumes::describe(list(template, "/spec/volumes"), true, out);
    let constraints = list(template, "/spec/topologySpreadConstraints").iter();
    let constraints: Vec<String> = constraints.map(spread).collect();
    if !constraints.is_empty() {
        out.column("  Topology Spread Constraints", &constraints);
    }
    let class = at(template, "/spec/priorityClassName");
    out.field_if(1, "Priority Class Name", class);
    let selectors = pairs(template.pointer("/spec/nodeSelector"));
    out.column("  Node-Selectors", &selectors);
    let tolerations = list(template, "/spec/tolerations").iter().map(toleration);
    out.column("  Tolerations", &tolerations.collect::<Vec<_>>());
}
