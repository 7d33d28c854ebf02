//! VolumeAttributesClass: properties of volumes that can be changed.
//! Kubernetes: `pkg/apis/storage/{v1,validation}`, `pkg/registry/storage/volumeattributesclass`.

use super::storage_class::name_cell;
use super::{kept, parameters, provisioner};
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "VolumeAttributesClass"),
    "VolumeAttributesClassList",
    ("volumeattributesclasses", "volumeattributesclass"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::VolumeAttributesClass>(),
    &VolumeAttributesClassStrategy,
)
.short_names(const { &[text("vac")] })
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("DriverName", "Who gives the volumes these properties."),
            columns::age_column(),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"driverName":"wkube.io/local","parameters":{"iops":"100"}}"#,
);

/// What a VolumeAttributesClass does beyond its shape.
pub struct VolumeAttributesClassStrategy;

impl Strategy for VolumeAttributesClassStrategy {
    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        provisioner(&At::of(class, "driverName"), &mut errors);
        parameters(&At::of(class, "parameters"), false, &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for field in ["driverName", "parameters"] {
            kept(&At::of(new, field), old.get(&[field]), &mut errors);
        }
        errors.0.extend(self.validate(new));
        errors.0
    }
}

fn row(class: &Object, now: Timestamp) -> Vec<Value> {
    let default = ["volumeattributesclass.kubernetes.io/is-default-class"];
    vec![
        json!(name_cell(class, &default)),
        json!(class.str_at(&["driverName"])),
        columns::age(class, now),
    ]
}
