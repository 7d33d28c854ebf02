//! Secret: what only some may read.

use crate::resources::def::{ResourceDef, SelectableField};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Secret"),
    "SecretList",
    ("secrets", "secret"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Secret>(),
    &SecretStrategy,
)
.selectable_fields(const { &[SelectableField::path("type")] })
.example(r#"{"metadata":{"name":"example"},"data":{"key":"dmFsdWU="}}"#);

/// What a Secret does beyond its shape.
pub struct SecretStrategy;

impl Strategy for SecretStrategy {}
