//! ValidatingWebhookConfiguration: who is asked before a request is served. Whose webhooks may refuse requests.
//! Kubernetes: `pkg/registry/admissionregistration/validatingwebhookconfiguration`.

use super::webhook::{self, WebhookStrategy};
use crate::resources::def::{ResourceDef, text};
use crate::resources::schema::SchemaSource;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
    ),
    "ValidatingWebhookConfigurationList",
    (
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
    ),
    SchemaSource::of::<
        k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration,
    >(),
    &WebhookStrategy { mutating: false },
)
.categories(const { &[text("api-extensions")] })
.cluster_scoped()
.columns(webhook::COLUMNS, webhook::row)
.example(
    r#"{"metadata":{"name":"example"},"webhooks":[{"name":"a.example.com","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"url":"https://example.com/x"}}]}"#,
);
