//! Whether a schema is structural: every value has one type, said in one place, and what stands below
//! `allOf` and its like only restricts what is said outside.
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/schema/validation.go`, `complete.go`.

use super::{each_property, flag, text};
use crate::meta::{FieldError, go_regex};
use crate::resources::validate::{At, Errors};
use serde_json::{Value, json};

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What may not be said below `allOf` and its like: field, and what it must be.
const NESTED: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

/// What makes a schema not structural, in the order of the sentences.
pub(super) fn check(schema: &At<'_, '_>) -> Vec<FieldError> {
    let mut errors = Errors::new();
    invariants(schema, Level::Root, &mut errors);
    complete(schema, schema, &mut errors);
    errors.0.sort_by_cached_key(ToString::to_string);
    errors.0
}

fn invariants(schema: &At<'_, '_>, level: Level, errors: &mut Errors) {
    let value = schema.value;
    let items = schema.field("items");
    if text(value, "type") == "array" && !items.is_set() {
        errors.required(&items, "must be specified");
    }
    if items.is_set() {
        invariants(&items, Level::Item, errors);
    }
    each_property(schema, |_, property| {
        invariants(property, Level::Field, errors)
    });
    let additional = schema.field("additionalProperties");
    if additional.is_set() {
        if level == Level::Root {
            errors.forbidden(&additional, "must not be used at the root");
        }
        if additional.value.is_object() {
            invariants(&additional, Level::Field, errors);
        }
    }
    extensions(schema, errors);
    let first_any_of = value.get("allOf").and_then(|all| all.get(0)?.get("anyOf"));
    let skip = (
        is_int_or_string(value.get("anyOf")),
        is_int_or_string(first_any_of),
    );
    restrictions(schema, skip, errors);
    kind(schema, level, errors);
    of_objects(schema, level, errors);
}

fn extensions(schema: &At<'_, '_>, errors: &mut Errors) {
    if !flag(schema.value, "x-kubernetes-int-or-string") {
        return;
    }
    for name in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if flag(schema.value, name) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.invalid(&schema.field(name), detail);
        }
    }
}

fn kind(schema: &At<'_, '_>, level: Level, errors: &mut Errors) {
    let (value, at) = (schema.value, schema.field("type"));
    let own = text(value, "type");
    let embedded = flag(value, "x-kubernetes-embedded-resource");
    let preserve = flag(value, "x-kubernetes-preserve-unknown-fields");
    if embedded && own != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        if own.is_empty() {
            errors.required(&at, detail);
        } else {
            errors.invalid(&at, detail);
        }
    } else if own.is_empty() && !preserve && !flag(value, "x-kubernetes-int-or-string") {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(&at, detail);
    }
    let additional = schema.field("additionalProperties");
    if embedded && additional.is_set() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&additional, detail);
    }
    if level == Level::Root && !own.is_empty() && own != "object" {
        errors.invalid(&at, "must be object at the root");
    }
    let properties = schema.field("properties");
    if embedded && !preserve && properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.required(&properties, detail);
    }
}

/// `kind`, `apiVersion` and `metadata` are what they are in every object.
fn of_objects(schema: &At<'_, '_>, level: Level, errors: &mut Errors) {
    let is_object = level == Level::Root || flag(schema.value, "x-kubernetes-embedded-resource");
    let properties = schema.field("properties");
    let own_type = |name: &str, wanted: &str, errors: &mut Errors| {
        let property = properties.key(name);
        let kind = property.field("type");
        if is_object && property.is_set() && kind.str() != wanted {
            errors.invalid_as(&kind, kind.str(), format!("must be {wanted}"));
        }
    };
    own_type("kind", "string", errors);
    own_type("apiVersion", "string", errors);
    own_type("metadata", "object", errors);
    let metadata = properties.key("metadata");
    if level != Level::Root || !metadata.is_set() {
        return;
    }
    let is_name = |name: &str| matches!(name, "name" | "generateName");
    let more = metadata.entries().any(|(name, value)| match name {
        "type" | "default" => false,
        "properties" => {
            let names = value.as_object().into_iter().flatten();
            names.into_iter().any(|(name, _)| !is_name(name))
        }
        _ => !matches!(value, Value::Null | Value::Bool(false)),
    });
    if more {
        let detail = "must not specify anything other than name and generateName, but metadata is \
                      implicitly specified";
        errors.forbidden(&metadata, detail);
    }
}

/// `anyOf` as an integer-or-string may have it.
fn is_int_or_string(any_of: Option<&Value>) -> bool {
    any_of == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

/// `allOf` and its like, and the pattern. Where the pattern of an integer-or-string stands (at this
/// level, in the first of `allOf`), `anyOf` is left alone.
fn restrictions(schema: &At<'_, '_>, skip: (bool, bool), errors: &mut Errors) {
    if !skip.0 {
        for one in schema.field("anyOf").items() {
            nested(&one, false, errors);
        }
    }
    for (index, one) in schema.field("allOf").items().enumerate() {
        nested(&one, skip.1 && index == 0, errors);
    }
    for one in schema.field("oneOf").items() {
        nested(&one, false, errors);
    }
    let not = schema.field("not");
    if not.is_set() {
        nested(&not, false, errors);
    }
    let pattern = schema.field("pattern");
    if let Err(why) = go_regex::compile(pattern.str()) {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid(&pattern, detail);
    }
}

fn nested(schema: &At<'_, '_>, skip_any_of: bool, errors: &mut Errors) {
    restrictions(schema, (skip_any_of, false), errors);
    let items = schema.field("items");
    if items.is_set() {
        nested(&items, false, errors);
    }
    each_property(schema, |_, property| nested(property, false, errors));
    for (name, detail) in NESTED {
        let at = schema.field(name);
        let empty = match at.value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        if !empty {
            errors.forbidden(&at, *detail);
        }
    }
    let metadata = schema.field("properties");
    let metadata = metadata.key("metadata");
    if metadata.is_set() {
        errors.forbidden(&metadata, "must not be specified in a nested context");
    }
}

/// What is restricted must be said: `restriction` stands below `allOf` or its like of `schema`.
fn complete(restriction: &At<'_, '_>, schema: &At<'_, '_>, errors: &mut Errors) {
    for name in ["allOf", "anyOf", "oneOf"] {
        for one in restriction.field(name).items() {
            said(&one, schema, errors);
        }
    }
    let not = restriction.field("not");
    if not.is_set() {
        said(&not, schema, errors);
    }
}

fn said(restriction: &At<'_, '_>, schema: &At<'_, '_>, errors: &mut Errors) {
    complete(restriction, schema, errors);
    let because = |at: &At<'_, '_>| format!("because it is defined in {}", at.path());
    let (items, own) = (restriction.field("items"), schema.field("items"));
    match (items.is_set(), own.is_set()) {
        (true, true) => said(&items, &own, errors),
        (true, false) => errors.required(&own, &because(&items)),
        _ => {}
    }
    let properties = schema.field("properties");
    each_property(restriction, |name, property| {
        let own = properties.key(name);
        if own.is_set() {
            said(property, &own, errors);
        } else {
            errors.required(&own, &because(property));
        }
    });
}
