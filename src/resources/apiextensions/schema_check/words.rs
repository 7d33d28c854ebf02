//! What Kubernetes has of JSON schema, and what its extensions ask of each other.
//! Kubernetes: apiextensions-apiserver `ValidateCustomResourceDefinitionOpenAPISchema`.

use super::{each_property, flag, text};
use crate::resources::apiextensions::structural::formats;
use crate::resources::validate::{At, Errors};
use serde_json::Value;
use std::collections::BTreeSet;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const ATOMIC: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
/// Words of JSON schema that Kubernetes does not have.
const UNSUPPORTED: &[&str] = &[
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
    "$schema",
];

/// What is known of the place of a schema.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Why a default may not stand here.
    no_default: Option<&'static str>,
    /// Whether it is of metadata, kind or version of an object.
    in_meta: bool,
}

/// Whether a schema, or one below it, uses words that no structural schema has.
pub(in crate::resources::apiextensions) fn has_unsupported(schema: &Value) -> bool {
    let set = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let own = UNSUPPORTED
        .iter()
        .any(|name| schema.get(name).is_some_and(set));
    own || schema.get("items").is_some_and(Value::is_array)
        || schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false))
        || below(schema).any(has_unsupported)
}

/// Whether a default stands in a schema, at any depth.
pub(in crate::resources::apiextensions) fn has_default(schema: &Value) -> bool {
    schema
        .get("default")
        .is_some_and(|default| !default.is_null())
        || schema.get("openAPIV3Schema").is_some_and(has_default)
        || below(schema).any(has_default)
}

/// The formats of a schema that mean nothing.
pub(in crate::resources::apiextensions) fn unknown_formats(
    schema: &Value,
    found: &mut Vec<String>,
) {
    let format = text(schema, "format");
    if !format.is_empty() && !formats::is_known(text(schema, "type"), format) {
        found.push(format.to_owned());
    }
    below(schema).for_each(|schema| unknown_formats(schema, found));
}

fn below(schema: &Value) -> impl Iterator<Item = &Value> {
    let single = ["items", "additionalProperties", "not"];
    let single = single.into_iter().filter_map(|name| schema.get(name));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter();
    let lists = lists
        .filter_map(|name| schema.get(name)?.as_array())
        .flatten();
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flat_map(|map| map.values());
    single.chain(lists).chain(properties)
}

/// Checks a whole schema.
pub(super) fn check(schema: &At<'_, '_>, errors: &mut Errors) {
    node(schema, true, Place::default(), errors);
}

fn node(schema: &At<'_, '_>, root: bool, place: Place, errors: &mut Errors) {
    let value = schema.value;
    standard(schema, place, errors);
    if flag(value, "uniqueItems") {
        let detail =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&schema.field("uniqueItems"), detail);
    }
    let additional = schema.field("additionalProperties");
    if additional.is_set() {
        let open = additional.value == &Value::Bool(true);
        if !schema.field("properties").is_empty() && !open {
            let detail = "additionalProperties and properties are mutual exclusive";
            errors.forbidden(&additional, detail);
        }
        if additional.value.is_object() {
            let mut place = place;
            if place.in_meta {
                place.no_default =
                    Some("must not be set inside additionalProperties applying to object metadata");
            }
            node(&additional, false, place, errors);
        }
    }
    each_property(schema, |name, property| {
        let own = root || flag(value, "x-kubernetes-embedded-resource");
        let no_default = match name {
            "metadata" if root => Some("must not be set in top-level metadata"),
            "kind" if root => Some("must not be set in top-level kind"),
            "apiVersion" if root => Some("must not be set in top-level apiVersion"),
            _ => place.no_default,
        };
        let place = Place {
            no_default,
            in_meta: place.in_meta || own && matches!(name, "metadata" | "kind" | "apiVersion"),
        };
        node(property, false, place, errors);
    });
    let not = schema.field("not");
    if not.is_set() {
        node(&not, false, place, errors);
    }
    for name in ["allOf", "oneOf", "anyOf"] {
        for one in schema.field(name).items() {
            node(&one, false, place, errors);
        }
    }
    let items = schema.field("items");
    if items.value.is_object() {
        node(&items, false, place, errors);
    }
    let preserve = schema.field("x-kubernetes-preserve-unknown-fields");
    if preserve.value == &Value::Bool(false) {
        errors.invalid(&preserve, "must be true or undefined");
    }
    map_type(schema, errors);
    list_type(schema, errors);
}

fn standard(schema: &At<'_, '_>, place: Place, errors: &mut Errors) {
    let kind = schema.field("type");
    if !kind.str().is_empty() && !TYPES.contains(&kind.str()) {
        errors.not_supported(&kind, TYPES);
    }
    let default = schema.field("default");
    if let Some(why) = place.no_default.filter(|_| default.is_set()) {
        errors.forbidden(&default, why);
    }
    for name in UNSUPPORTED {
        let at = schema.field(name);
        let empty = at.value.as_object().is_some_and(serde_json::Map::is_empty);
        let told = *name != "$schema" && (*name == "$ref" || at.value.as_str() != Some(""));
        if at.is_set() && !empty && told {
            errors.forbidden(&at, format!("{name} is not supported"));
        }
    }
    if kind.str() == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.forbidden(&kind, detail);
    }
    let items = schema.field("items");
    if items.value.is_array() {
        errors.forbidden(&items, "items must be a schema object and not an array");
    }
    if place.in_meta && flag(schema.value, "x-kubernetes-embedded-resource") {
        let at = schema.field("x-kubernetes-embedded-resource");
        errors.forbidden(&at, "must not be used inside of resource meta");
    }
}

/// An extension that is for one type alone.
fn only_for(schema: &At<'_, '_>, wanted: &str, extension: &str, errors: &mut Errors) -> bool {
    let kind = schema.field("type");
    let detail = format!("must be {wanted} if {extension} is specified");
    match kind.str() {
        own if own == wanted => return true,
        "" => errors.required(&kind, &detail),
        _ => errors.invalid(&kind, detail),
    }
    false
}

fn map_type(schema: &At<'_, '_>, errors: &mut Errors) {
    let extension = "x-kubernetes-map-type";
    let at = schema.field(extension);
    if at.is_set() {
        only_for(schema, "object", extension, errors);
        errors.one_of(&at, &["atomic", "granular"]);
    }
}

fn list_type(schema: &At<'_, '_>, errors: &mut Errors) {
    let extension = "x-kubernetes-list-type";
    let (at, keys) = (
        schema.field(extension),
        schema.field("x-kubernetes-list-map-keys"),
    );
    let items = schema.field("items");
    if at.is_set() {
        let is_list = only_for(schema, "array", extension, errors);
        if is_list && at.str() == "set" && items.value.is_object() {
            set_items(&items, errors);
        }
        errors.one_of(&at, &["atomic", "set", "map"]);
    }
    if !keys.is_empty() && at.str() != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        if at.is_set() {
            errors.invalid(&at, detail);
        } else {
            errors.required(&at, detail);
        }
    }
    if at.str() == "map" {
        map_items(&items, &keys, errors);
    }
    if matches!(at.str(), "map" | "set") && items.value.is_object() {
        no_nulls(&items, &keys, at.str(), errors);
    }
}

fn set_items(items: &At<'_, '_>, errors: &mut Errors) {
    let list = items.field("x-kubernetes-list-type");
    match text(items.value, "type") {
        "array" if list.is_set() && list.str() != "atomic" => errors.invalid(&list, ATOMIC),
        "object" => {
            let map = items.field("x-kubernetes-map-type");
            // Kubernetes shows the type of the list here.
            if map.str() != "atomic" && list.is_set() {
                errors.invalid_as(&map, list.value.clone(), ATOMIC);
            } else if map.str() != "atomic" {
                errors.invalid_omitted(&map, format!("null: {ATOMIC}"));
            }
        }
        _ => {}
    }
}

fn map_items(items: &At<'_, '_>, keys: &At<'_, '_>, errors: &mut Errors) {
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.required(keys, detail);
    }
    if !items.is_set() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.required(items, detail);
        return;
    }
    let kind = items.field("type");
    if kind.str() != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid_as(&kind, kind.str(), detail);
        return;
    }
    let properties = items.field("properties");
    let mut seen = BTreeSet::new();
    for key in keys.values().filter_map(Value::as_str) {
        let property = properties.key(key);
        if !property.is_set() {
            errors.invalid(keys, "entries must all be names of item properties");
        } else if matches!(property.field("type").str(), "array" | "object") {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.invalid_as(&property.field("type"), kind.str(), detail);
        }
        if !seen.insert(key) {
            errors.invalid(keys, "must not contain duplicate entries");
        }
    }
}

/// Items that are found by themselves or by keys are always there, and so are the keys.
fn no_nulls(items: &At<'_, '_>, keys: &At<'_, '_>, list_type: &str, errors: &mut Errors) {
    if flag(items.value, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&items.field("nullable"), detail);
    }
    if list_type != "map" {
        return;
    }
    let properties = items.field("properties");
    let required = items.field("required");
    for key in keys.values().filter_map(Value::as_str) {
        let property = properties.key(key);
        if !property.is_set() {
            continue;
        }
        let default = property.field("default");
        if !required.values().any(|own| own == key) && !default.is_set() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or \
                          be a required property";
            errors.required(&default, detail);
        }
        if flag(property.value, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&property.field("nullable"), detail);
        }
    }
}
