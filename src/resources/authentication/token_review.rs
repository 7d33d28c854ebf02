//! TokenReview: whose token is this? Answered by the API server, never stored.

use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authentication.k8s.io", "v1", "TokenReview"),
    "TokenReviewList",
    ("tokenreviews", "tokenreview"),
    SchemaSource::of::<k8s_openapi::api::authentication::v1::TokenReview>(),
    &Plain,
)
.cluster_scoped()
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"},"spec":{"token":"t"}}"#);
