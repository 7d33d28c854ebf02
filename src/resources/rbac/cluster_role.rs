//! ClusterRole: what may be done in the cluster, or in every namespace where a binding gives it.

use super::rules;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors, selector};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (super::GROUP, "v1", "ClusterRole"),
    "ClusterRoleList",
    ("clusterroles", "clusterrole"),
    SchemaSource::of::<k8s_openapi::api::rbac::v1::ClusterRole>(),
    &ClusterRoleStrategy,
)
.cluster_scoped()
.columns(columns::CREATED, columns::created_row)
.example(
    r#"{"metadata":{"name":"example"},"rules":[{"nonResourceURLs":["/version"],"verbs":["get"]}]}"#,
);

/// What a ClusterRole does beyond its shape.
pub struct ClusterRoleStrategy;

impl Strategy for ClusterRoleStrategy {
    fn validate(&self, role: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        rules::validate(role, false, &mut errors);
        let aggregation = At::of(role, "aggregationRule");
        let selectors = aggregation.field("clusterRoleSelectors");
        if aggregation.is_set() && selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.required(&selectors, detail);
        }
        for item in selectors.items() {
            let before = errors.0.len();
            selector::label_selector(&item, &mut errors);
            if errors.0.len() > before {
                errors.invalid_as(&item, "null", "invalid label selector.");
            }
        }
        errors.0
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        names::path_segment(name)
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}
