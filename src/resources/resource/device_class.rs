//! DeviceClass: devices of a kind, by what they are like.
//! Kubernetes: `pkg/registry/resource/deviceclass`.

use super::requests;
use crate::meta::{FieldError, Object};
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("resource.k8s.io", "v1", "DeviceClass"),
    "DeviceClassList",
    ("deviceclasses", "deviceclass"),
    SchemaSource::of::<k8s_openapi::api::resource::v1::DeviceClass>(),
    &DeviceClassStrategy,
)
.cluster_scoped()
.example(r#"{"metadata":{"name":"example"},"spec":{}}"#);

/// What a DeviceClass does beyond its shape.
pub struct DeviceClassStrategy;

impl Strategy for DeviceClassStrategy {
    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(class, "spec");
        requests::selectors(&spec.field("selectors"), &mut errors);
        for config in spec.field("config").items() {
            requests::opaque(&config, &mut errors);
        }
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}
