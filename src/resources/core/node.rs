//! Node: a machine, here most often a virtual one, that runs pods.

use crate::resources::def::{
    FieldValue, PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Node"),
    "NodeList",
    ("nodes", "node"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Node>(),
    &NodeStrategy,
)
.short_names(const { &[text("no")] })
.cluster_scoped()
.subresources(
    const {
        &[
            Subresource::new("proxy", "NodeProxyOptions", PROXY_VERBS),
            Subresource::new("status", "Node", PART_VERBS),
        ]
    },
)
.selectable_fields(
    const {
        &[SelectableField {
            label: text("spec.unschedulable"),
            value: FieldValue::Path(text("spec.unschedulable"), text("false")),
        }]
    },
)
.example(r#"{"metadata":{"name":"example"}}"#);

/// What a Node does beyond its shape.
pub struct NodeStrategy;

impl Strategy for NodeStrategy {
    fn has_status(&self) -> bool {
        true
    }
}
