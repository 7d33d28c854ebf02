//! Whether the defaults of a schema are what the schema wants, with no field that it does not know.
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/schema/defaulting/validation.go`.

use super::{each_property, flag};
use crate::meta::FieldError;
use crate::resources::apiextensions::cel_rules;
use crate::resources::apiextensions::structural::{self, Structural};
use crate::resources::validate::{At, Errors};

/// What is wrong with the defaults of a structural schema.
pub(super) fn check(schema: &At<'_, '_>) -> Vec<FieldError> {
    let mut errors = Errors::new();
    node(schema, (true, false), &mut errors);
    errors.0
}

/// `root` says that the schema is of a whole object.
fn node(schema: &At<'_, '_>, (root, in_metadata): (bool, bool), errors: &mut Errors) {
    let embedded = root || flag(schema.value, "x-kubernetes-embedded-resource");
    let in_metadata = in_metadata && !embedded;
    let default = schema.field("default");
    if default.is_set() && !in_metadata {
        value(schema, embedded, &default, errors);
    }
    let items = schema.field("items");
    if items.is_set() {
        node(&items, (false, in_metadata), errors);
    }
    each_property(schema, |name, property| {
        let own = embedded && matches!(name, "metadata" | "apiVersion" | "kind");
        node(property, (false, in_metadata || own), errors);
    });
}

fn value(schema: &At<'_, '_>, whole: bool, default: &At<'_, '_>, errors: &mut Errors) {
    let mut read = Structural::of(schema.value);
    read.embedded = whole;
    // A list or a scalar is pruned as the only field of an object.
    let mut around = serde_json::Map::new();
    around.insert("default".to_owned(), default.value.clone());
    let mut outer = Structural::default();
    let mut own = Structural::of(schema.value);
    own.embedded = whole;
    outer.properties.insert("default".into(), own);
    outer.prune(&mut around);
    if around.get("default") != Some(default.value) {
        errors.invalid(default, "must not have unknown fields");
    }
    let meta = structural::embedded_value(&read, default.value, &default.path());
    if !meta.is_empty() {
        errors.0.extend(meta);
        return;
    }
    let mut found = structural::validate(&read, default.value, &default.path());
    if found.is_empty() {
        found = cel_rules::of_default(schema.value, whole, default.value, &default.path());
    }
    errors.0.extend(found);
}
