//! ClusterRoleBinding: who has a role in the cluster.

use super::binding;
use crate::meta::{FieldError, Object, names};
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (super::GROUP, "v1", "ClusterRoleBinding"),
    "ClusterRoleBindingList",
    ("clusterrolebindings", "clusterrolebinding"),
    SchemaSource::of::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>(),
    &ClusterRoleBindingStrategy,
)
.cluster_scoped()
.columns(binding::COLUMNS, binding::row)
.example(
    r#"{"metadata":{"name":"example"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"u"}]}"#,
);

/// What it may name.
const ROLES: &[&str] = &["ClusterRole"];

/// What a ClusterRoleBinding does beyond its shape.
pub struct ClusterRoleBindingStrategy;

impl Strategy for ClusterRoleBindingStrategy {
    fn default(&self, object: &mut Object) {
        binding::default(object);
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        binding::validate(object, ROLES, false)
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        binding::validate_update(new, old, ROLES, false)
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        names::path_segment(name)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}
