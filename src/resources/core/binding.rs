//! Binding: what a scheduler posts to give a Pod its node. It is never stored.

use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Binding"),
    "BindingList",
    ("bindings", "binding"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Binding>(),
    &Plain,
)
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"},"target":{"kind":"Node","name":"node-0"}}"#);
