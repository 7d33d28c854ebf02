//! What CEL sees of a structural OpenAPI schema, as JSON: its types, and how large data can be.
//! What has no type (or only `x-kubernetes-preserve-unknown-fields`) is not seen. Must not know
//! custom resources.
//!
//! Kubernetes: apiserver `pkg/cel/common/schemas.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::decl::{DeclType, Kind, escape};
use super::env::MAX_REQUEST_SIZE;
use super::value::ListKind;

/// Longest duration as JSON.
const DURATION_MAX: u64 = 32;
/// Shortest duration as JSON.
const DURATION_MIN: u64 = 3;
/// Length of a date as JSON.
const DATE: u64 = 12;
/// Longest point in time as JSON.
const DATE_TIME_MAX: u64 = 32;
/// Shortest point in time as JSON.
const DATE_TIME_MIN: u64 = 21;
/// Length of `""`.
const STRING_MIN: u64 = 2;

/// The declared type of a schema, if it has one. `root` says that it is of a whole resource, which
/// has `apiVersion`, `kind` and `metadata` whatever the schema says.
pub fn declared(schema: &Json, root: bool) -> Option<Arc<DeclType>> {
    let flag = |name: &str| schema.get(name).and_then(Json::as_bool).unwrap_or(false);
    let nullable = flag("nullable");
    let of = |kind: Kind, max_elements: u64, min_size: u64| {
        Some(Arc::new(DeclType {
            kind,
            max_elements,
            min_size,
            nullable,
        }))
    };
    if flag("x-kubernetes-int-or-string") {
        let max = match limit(schema, "maxLength") {
            Some(length) => length.saturating_mul(4),
            None => MAX_REQUEST_SIZE - 2,
        };
        return of(Kind::IntOrString, max, 1);
    }
    let kind = match schema.get("type").and_then(Json::as_str) {
        None if root => "object",
        kind => kind?,
    };
    match kind {
        "boolean" => of(Kind::Bool, 0, 4),
        "number" => of(Kind::Double, 0, 1),
        "integer" => of(Kind::Int, 0, 1),
        "string" => {
            let (kind, max, min) = string(schema);
            of(kind, max, min)
        }
        "array" => {
            let items = schema.get("items")?;
            let element = declared(items, embedded(items))?;
            let most = (MAX_REQUEST_SIZE - 2) / (element.min_size + 1);
            let max = limit(schema, "maxItems").unwrap_or(most);
            of(Kind::List(element, list_kind(schema)), max, 2)
        }
        "object" => {
            if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object())
                && (!root || schema.get("properties").is_none())
            {
                let element = declared(values, embedded(values))?;
                let most = (MAX_REQUEST_SIZE - 2) / (element.min_size + 6);
                let max = limit(schema, "maxProperties").unwrap_or(most);
                return of(Kind::Map(element), max, 2);
            }
            let (fields, min) = object(schema, root);
            of(Kind::Object(fields), 0, min)
        }
        _ => None,
    }
}

/// Whether a schema is of an embedded resource.
pub fn embedded(schema: &Json) -> bool {
    let flag = schema.get("x-kubernetes-embedded-resource");
    flag.and_then(Json::as_bool).unwrap_or(false)
}

fn limit(schema: &Json, name: &str) -> Option<u64> {
    let limit = schema.get(name)?;
    Some(limit.as_u64().unwrap_or(0))
}

/// Kind, longest and shortest of a string.
fn string(schema: &Json) -> (Kind, u64, u64) {
    let length = limit(schema, "maxLength");
    let most = MAX_REQUEST_SIZE - 2;
    match schema.get("format").and_then(Json::as_str) {
        Some("byte") => (Kind::Bytes, length.unwrap_or(most), STRING_MIN),
        Some("duration") => (Kind::Duration, DURATION_MAX, DURATION_MIN),
        Some("date") => (Kind::Date, DATE, DATE),
        Some("date-time") => (Kind::DateTime, DATE_TIME_MAX, DATE_TIME_MIN),
        _ => {
            let values = schema.get("enum").and_then(Json::as_array);
            let max = match (length, values) {
                // Lengths are of characters, sizes of bytes.
                (Some(length), _) => length.saturating_mul(4),
                (None, Some(values)) if !values.is_empty() => values
                    .iter()
                    .filter_map(Json::as_str)
                    .map(|value| value.len() as u64)
                    .max()
                    .unwrap_or(0),
                _ => most,
            };
            (Kind::String, max, STRING_MIN)
        }
    }
}

fn list_kind(schema: &Json) -> ListKind {
    match schema.get("x-kubernetes-list-type").and_then(Json::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Json::as_array);
            let keys = keys.into_iter().flatten().filter_map(Json::as_str);
            ListKind::Map(
                keys.map(|key| escape(key).unwrap_or_else(|| key.to_owned()))
                    .collect(),
            )
        }
        _ => ListKind::Plain,
    }
}

type Fields = BTreeMap<String, (String, Arc<DeclType>)>;

/// The fields of an object, and how short it can be.
fn object(schema: &Json, root: bool) -> (Fields, u64) {
    let empty = serde_json::Map::new();
    let properties = schema
        .get("properties")
        .and_then(Json::as_object)
        .unwrap_or(&empty);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let mut fields = Fields::new();
    let mut min = 2;
    for (name, property) in properties {
        let Some(of) = declared(property, embedded(property)) else {
            continue;
        };
        let defaulted = property
            .get("default")
            .is_some_and(|default| !default.is_null());
        if required.contains(&name.as_str()) && !defaulted {
            min += name.len() as u64 + of.min_size + 4;
        }
        if let Some(escaped) = escape(name) {
            fields.insert(escaped, (name.clone(), of));
        }
    }
    if root && !whole(properties) {
        let text = || {
            Arc::new(DeclType {
                kind: Kind::String,
                max_elements: MAX_REQUEST_SIZE - 2,
                min_size: STRING_MIN,
                nullable: false,
            })
        };
        let metadata = ["name", "generateName"].map(|n| (n.to_owned(), (n.to_owned(), text())));
        let metadata = DeclType::scalar(Kind::Object(Fields::from(metadata)), 2);
        for name in ["apiVersion", "kind"] {
            fields.insert(name.to_owned(), (name.to_owned(), text()));
        }
        let metadata = ("metadata".to_owned(), Arc::new(metadata));
        fields.insert("metadata".to_owned(), metadata);
    }
    (fields, min)
}

/// Whether the schema itself declares all that every resource has.
fn whole(properties: &serde_json::Map<String, Json>) -> bool {
    let is = |of: Option<&Json>, wanted: &str| {
        of.and_then(|p| p.get("type")).and_then(Json::as_str) == Some(wanted)
    };
    let metadata = properties.get("metadata");
    let inside = metadata.and_then(|m| m.get("properties"));
    is(properties.get("kind"), "string")
        && is(properties.get("apiVersion"), "string")
        && is(metadata, "object")
        && is(inside.and_then(|p| p.get("name")), "string")
        && is(inside.and_then(|p| p.get("generateName")), "string")
}
