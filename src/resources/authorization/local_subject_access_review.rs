//! LocalSubjectAccessReview: may somebody do this in a namespace? Answered by the API server, never stored.

use super::access;
use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::Errors;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview"),
    "LocalSubjectAccessReviewList",
    ("localsubjectaccessreviews", "localsubjectaccessreview"),
    SchemaSource::of::<k8s_openapi::api::authorization::v1::LocalSubjectAccessReview>(),
    &LocalSubjectAccessReviewStrategy,
)
.verbs(&[Verb::Create])
.storage_prefix("")
.example(r#"{"metadata":{"name":"example"},"spec":{"user":"u","resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}}"#);

/// What a LocalSubjectAccessReview does beyond its shape.
pub struct LocalSubjectAccessReviewStrategy;

impl Strategy for LocalSubjectAccessReviewStrategy {
    fn validate(&self, review: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        access::one_thing(review, &mut errors);
        access::somebody(review, &mut errors);
        access::in_namespace(review, &mut errors);
        errors.0
    }
}
