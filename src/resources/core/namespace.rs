//! Namespace: where names are unique, and what is deleted as a whole.

use crate::resources::def::{PART_VERBS, ResourceDef, SelectableField, Subresource, Verb, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Namespace"),
    "NamespaceList",
    ("namespaces", "namespace"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Namespace>(),
    &NamespaceStrategy,
)
.short_names(const { &[text("ns")] })
.cluster_scoped()
.verbs(&[
    Verb::Create,
    Verb::Delete,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
])
.subresources(
    const {
        &[
            Subresource::new("finalize", "Namespace", &[Verb::Update]),
            Subresource::new("status", "Namespace", PART_VERBS),
        ]
    },
)
.selectable_fields(const { &[SelectableField::path("status.phase")] })
.example(r#"{"metadata":{"name":"example"}}"#);

/// What a Namespace does beyond its shape.
pub struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    fn has_status(&self) -> bool {
        true
    }
}
