//! What the three questions about one access have in common: they are about a resource or about a
//! path, and say whose access they mean.
//! Kubernetes: `pkg/apis/authorization/validation`.

use crate::meta::Object;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// Checks that the question is about one thing.
pub(super) fn one_thing(review: &Object, errors: &mut Errors) {
    let spec = At::of(review, "spec");
    let (resource, path) = (
        spec.field("resourceAttributes"),
        spec.field("nonResourceAttributes"),
    );
    match (resource.is_set(), path.is_set()) {
        (true, true) => errors.invalid(
            &path,
            "cannot be specified in combination with resourceAttributes",
        ),
        (false, false) => errors.invalid_as(
            &resource,
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        _ => {}
    }
}

/// Checks that the question is about somebody.
pub(super) fn somebody(review: &Object, errors: &mut Errors) {
    let spec = At::of(review, "spec");
    let user = spec.field("user");
    if user.str().is_empty() && spec.field("groups").is_empty() {
        let detail = "at least one of user or group must be specified";
        errors.invalid_as(&user, "", detail);
    }
}

/// Checks that the question stays within the namespace it was put in.
pub(super) fn in_namespace(review: &Object, errors: &mut Errors) {
    let spec = At::of(review, "spec");
    let (resource, path) = (
        spec.field("resourceAttributes"),
        spec.field("nonResourceAttributes"),
    );
    let namespace = resource.field("namespace");
    if resource.is_set() && namespace.str() != review.namespace() {
        errors.invalid_as(&namespace, namespace.str(), "must match metadata.namespace");
    }
    if path.is_set() {
        errors.invalid(&path, "disallowed on this kind of request");
    }
}
