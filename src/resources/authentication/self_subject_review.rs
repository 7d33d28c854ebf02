//! SelfSubjectReview: who am I? Answered by the API server, never stored.

use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authentication.k8s.io", "v1", "SelfSubjectReview"),
    "SelfSubjectReviewList",
    ("selfsubjectreviews", "selfsubjectreview"),
    SchemaSource::of::<k8s_openapi::api::authentication::v1::SelfSubjectReview>(),
    &Plain,
)
.cluster_scoped()
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"}}"#);
