//! ConfigMap: settings for pods, as strings and as bytes.

use crate::resources::def::{ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ConfigMap"),
    "ConfigMapList",
    ("configmaps", "configmap"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ConfigMap>(),
    &ConfigMapStrategy,
)
.short_names(const { &[text("cm")] })
.example(r#"{"metadata":{"name":"example"},"data":{"key":"value"}}"#);

/// What a ConfigMap does beyond its shape.
pub struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {}
