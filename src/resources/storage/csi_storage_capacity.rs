//! CSIStorageCapacity: how much room a driver has for a class in a part of the cluster.
//! Kubernetes: `pkg/apis/storage/validation`, `pkg/registry/storage/csistoragecapacity`.

use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, selector};
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "CSIStorageCapacity"),
    "CSIStorageCapacityList",
    ("csistoragecapacities", "csistoragecapacity"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::CSIStorageCapacity>(),
    &CsiStorageCapacityStrategy,
)
.columns(columns::CREATED, columns::created_row)
.example(r#"{"metadata":{"name":"example"},"storageClassName":"c","capacity":"1Gi"}"#);

/// What a CSIStorageCapacity does beyond its shape.
pub struct CsiStorageCapacityStrategy;

impl Strategy for CsiStorageCapacityStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, capacity: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        selector::label_selector(&At::of(capacity, "nodeTopology"), &mut errors);
        let class = At::of(capacity, "storageClassName");
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
        let size = At::of(capacity, "capacity");
        if let Ok(amount) = Quantity::from_value(size.value)
            && amount.is_negative()
        {
            let detail = "must be greater than or equal to 0";
            errors.invalid_as(&size, amount.to_string(), detail);
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for field in ["nodeTopology", "storageClassName"] {
            let before = old.get(&[field]).unwrap_or(&Value::Null);
            errors.immutable(&At::of(new, field), before);
        }
        errors.0
    }
}
