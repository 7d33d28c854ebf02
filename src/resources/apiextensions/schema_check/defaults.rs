//! Whether the defaults of a schema are what the schema wants, with no field that it does not know.
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/schema/defaulting/validation.go`.

use super::{each_property, flag};
use crate::meta::FieldError;
use crate::resources::apiextensions::structural::{self, Structural};
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// What is wrong with the defaults of a structural schema.
pub(super) fn check(schema: &At<'_, '_>) -> Vec<FieldError> {
    let mut errors = Errors::new();
    node(schema, false, &mut errors);
    errors.0
}

fn node(schema: &At<'_, '_>, in_metadata: bool, errors: &mut Errors) {
    let default = schema.field("default");
    if default.is_set() && !in_metadata {
        value(schema, &default, errors);
    }
    let items = schema.field("items");
    if items.is_set() {
        node(&items, in_metadata, errors);
    }
    let embedded = flag(schema.value, "x-kubernetes-embedded-resource");
    each_property(schema, |name, property| {
        let own = embedded && matches!(name, "metadata" | "apiVersion" | "kind");
        node(property, in_metadata || own, errors);
    });
}

fn value(schema: &At<'_, '_>, default: &At<'_, '_>, errors: &mut Errors) {
    let read = Structural::of(schema.value);
    // A list or a scalar is pruned as the only field of an object.
    let mut around = serde_json::Map::new();
    around.insert("default".to_owned(), default.value.clone());
    let mut outer = Structural::default();
    let own = Structural::of(schema.value);
    outer.properties.insert("default".into(), own);
    outer.prune(&mut around);
    if around.get("default") != Some(default.value) {
        errors.invalid(default, "must not have unknown fields");
    }
    let found = structural::validate(&read, default.value, &default.path());
    errors.0.extend(found);
    if let Value::Object(fields) = default.value {
        let embedded = structural::embedded(&read, fields);
        errors.0.extend(embedded);
    }
}
