//! ServiceAccount: who a pod is.

use crate::resources::def::{ResourceDef, Subresource, Verb, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ServiceAccount"),
    "ServiceAccountList",
    ("serviceaccounts", "serviceaccount"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ServiceAccount>(),
    &ServiceAccountStrategy,
)
.short_names(const { &[text("sa")] })
.subresources(
    const {
        &[Subresource::foreign(
            "token",
            ("authentication.k8s.io", "v1", "TokenRequest"),
            &[Verb::Create],
        )]
    },
)
.example(r#"{"metadata":{"name":"example"}}"#);

/// What a ServiceAccount does beyond its shape. Its columns are the common ones.
pub struct ServiceAccountStrategy;

impl Strategy for ServiceAccountStrategy {}
