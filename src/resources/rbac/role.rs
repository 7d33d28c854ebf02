//! Role: what may be done in a namespace.

use super::rules;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::Errors;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (super::GROUP, "v1", "Role"),
    "RoleList",
    ("roles", "role"),
    SchemaSource::of::<k8s_openapi::api::rbac::v1::Role>(),
    &RoleStrategy,
)
.columns(columns::CREATED, columns::created_row)
.example(
    r#"{"metadata":{"name":"example"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}"#,
);

/// What a Role does beyond its shape.
pub struct RoleStrategy;

impl Strategy for RoleStrategy {
    fn validate(&self, role: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        rules::validate(role, true, &mut errors);
        errors.0
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        names::path_segment(name)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}
