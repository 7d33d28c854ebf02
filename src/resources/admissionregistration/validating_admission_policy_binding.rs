//! ValidatingAdmissionPolicyBinding: where a ValidatingAdmissionPolicy holds, and with what parameters.
//! Kubernetes: `pkg/registry/admissionregistration/validatingadmissionpolicybinding`.

use super::{not_in_force, policy};
use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};

/// The row.
pub static DEF: ResourceDef =
    ResourceDef::new(
        (
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingAdmissionPolicyBinding",
        ),
        "ValidatingAdmissionPolicyBindingList",
        (
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicybinding",
        ),
        SchemaSource::of::<
            k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        >(),
        &BindingStrategy,
    )
    .categories(const { &[text("api-extensions")] })
    .cluster_scoped()
    .columns(policy::BINDING_COLUMNS, policy::binding_row)
    .example(EXAMPLE);

/// The smallest valid object.
const EXAMPLE: &str =
    r#"{"metadata":{"name":"example"},"spec":{"policyName":"p","validationActions":["Deny"]}}"#;

/// What a ValidatingAdmissionPolicyBinding does beyond its shape.
pub struct BindingStrategy;

impl Strategy for BindingStrategy {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, binding: &mut Object) {
        policy::default_binding(binding);
    }

    fn validate(&self, binding: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(binding, "spec");
        policy::binding(&spec, &mut errors);
        policy::actions(&spec.field("validationActions"), &mut errors);
        errors.0
    }

    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        not_in_force("admission policies")
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}
