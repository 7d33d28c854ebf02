//! SubjectAccessReview: may somebody do this? Answered by the API server, never stored.

use super::access;
use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::Errors;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authorization.k8s.io", "v1", "SubjectAccessReview"),
    "SubjectAccessReviewList",
    ("subjectaccessreviews", "subjectaccessreview"),
    SchemaSource::of::<k8s_openapi::api::authorization::v1::SubjectAccessReview>(),
    &SubjectAccessReviewStrategy,
)
.cluster_scoped()
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"},"spec":{"user":"u","resourceAttributes":{"verb":"get","resource":"pods"}}}"#);

/// What a SubjectAccessReview does beyond its shape.
pub struct SubjectAccessReviewStrategy;

impl Strategy for SubjectAccessReviewStrategy {
    fn validate(&self, review: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        access::one_thing(review, &mut errors);
        access::somebody(review, &mut errors);
        errors.0
    }
}
