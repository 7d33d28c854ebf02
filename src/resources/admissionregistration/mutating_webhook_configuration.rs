//! MutatingWebhookConfiguration: who is asked before a request is served. Whose webhooks may change requests.
//! Kubernetes: `pkg/registry/admissionregistration/mutatingwebhookconfiguration`.

use super::{not_in_force, webhook};
use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::Errors;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
    ),
    "MutatingWebhookConfigurationList",
    (
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
    ),
    SchemaSource::of::<
        k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration,
    >(),
    &MutatingStrategy,
)
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.columns(webhook::COLUMNS, webhook::row)
.example(
    r#"{"metadata":{"name":"example"},"webhooks":[{"name":"a.example.com","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"url":"https://example.com/x"}}]}"#,
);

/// What a MutatingWebhookConfiguration does beyond its shape.
pub struct MutatingStrategy;

impl Strategy for MutatingStrategy {
    fn default(&self, configuration: &mut Object) {
        webhook::default(configuration, true);
    }

    fn validate(&self, configuration: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        webhook::validate(configuration, &mut errors);
        errors.0
    }

    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        not_in_force("admission webhooks")
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        new.get(&["webhooks"]) != old.get(&["webhooks"])
    }
}
