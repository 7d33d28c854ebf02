//! RoleBinding: who has a role in a namespace.

use super::binding;
use crate::meta::{FieldError, Object, names};
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (super::GROUP, "v1", "RoleBinding"),
    "RoleBindingList",
    ("rolebindings", "rolebinding"),
    SchemaSource::of::<k8s_openapi::api::rbac::v1::RoleBinding>(),
    &RoleBindingStrategy,
)
.columns(binding::COLUMNS, binding::row)
.example(
    r#"{"metadata":{"name":"example"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"u"}]}"#,
);

/// What it may name.
const ROLES: &[&str] = &["Role", "ClusterRole"];

/// What a RoleBinding does beyond its shape.
pub struct RoleBindingStrategy;

impl Strategy for RoleBindingStrategy {
    fn default(&self, object: &mut Object) {
        binding::default(object);
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        binding::validate(object, ROLES, true)
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        binding::validate_update(new, old, ROLES, true)
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        names::path_segment(name)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}
