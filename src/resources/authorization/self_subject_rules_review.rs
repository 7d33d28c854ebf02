//! SelfSubjectRulesReview: what may I do in a namespace? Answered by the API server, never stored.

use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview"),
    "SelfSubjectRulesReviewList",
    ("selfsubjectrulesreviews", "selfsubjectrulesreview"),
    SchemaSource::of::<k8s_openapi::api::authorization::v1::SelfSubjectRulesReview>(),
    &Plain,
)
.cluster_scoped()
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"},"spec":{"namespace":"default"}}"#);
