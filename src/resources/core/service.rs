//! Service: a name and an address for a set of pods.

use crate::resources::def::{
    PART_VERBS, PROXY_VERBS, ResourceDef, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Service"),
    "ServiceList",
    ("services", "service"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Service>(),
    &ServiceStrategy,
)
.short_names(const { &[text("svc")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            Subresource::new("proxy", "ServiceProxyOptions", PROXY_VERBS),
            Subresource::new("status", "Service", PART_VERBS),
        ]
    },
)
.selectable_fields(
    const {
        &[
            SelectableField::path("spec.clusterIP"),
            SelectableField::path("spec.type"),
        ]
    },
)
.example(r#"{"metadata":{"name":"example"},"spec":{"ports":[{"port":80}]}}"#);

/// What a Service does beyond its shape.
pub struct ServiceStrategy;

impl Strategy for ServiceStrategy {
    fn has_status(&self) -> bool {
        true
    }
}
