//! Objects inside objects (`x-kubernetes-embedded-resource`): their metadata has the shape that all
//! metadata has, and they say what they are. Must not know the metadata of the object itself.
//! Kubernetes: apiextensions-apiserver `schema/objectmeta`.

use super::Structural;
use crate::meta::{FieldError, names};
use crate::resources::schema::{DecodeError, Schema};
use crate::resources::validate::{At, Errors, metadata};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The shape of metadata.
pub(crate) fn shape() -> &'static Schema {
    static SHAPE: OnceLock<Schema> = OnceLock::new();
    SHAPE.get_or_init(Schema::of::<ObjectMeta>)
}

/// Brings `metadata` of an object to its shape; answers the paths of unknown fields. With `drop`,
/// fields of the wrong type go, else they are an error.
pub(crate) fn fit(
    object: &mut Map<String, Value>,
    path: &str,
    drop: bool,
) -> Result<Vec<String>, DecodeError> {
    let Some(metadata) = object.get_mut("metadata") else {
        return Ok(Vec::new());
    };
    if metadata.is_null() {
        object.remove("metadata");
        return Ok(Vec::new());
    }
    let decoded = match shape().decode(metadata) {
        Err(_) if drop => {
            if let Value::Object(fields) = metadata {
                fields.retain(|name, value| {
                    let mut one = Value::Object(Map::from_iter([(name.clone(), value.take())]));
                    let fits = shape().decode(&mut one).is_ok();
                    *value = one.get_mut(name).map(Value::take).unwrap_or_default();
                    fits && !value.is_null()
                });
            } else {
                object.remove("metadata");
            }
            return Ok(Vec::new());
        }
        decoded => decoded?,
    };
    let dot = if path.is_empty() { "" } else { "." };
    let told = |field: String| format!("{path}{dot}metadata.{field}");
    Ok(decoded.unknown_fields.into_iter().map(told).collect())
}

/// Brings the metadata of embedded objects to its shape; answers the paths of unknown fields. The
/// object itself is not looked at, only what is inside.
pub fn fit_embedded(
    schema: &Structural,
    object: &mut Map<String, Value>,
    drop: bool,
) -> Result<Vec<String>, FieldError> {
    let mut walk = Fit {
        drop,
        unknown: Vec::new(),
    };
    walk.fields("", schema, object)?;
    walk.unknown.sort();
    Ok(walk.unknown)
}

struct Fit {
    drop: bool,
    unknown: Vec<String>,
}

impl Fit {
    fn value(
        &mut self,
        path: &str,
        schema: &Structural,
        value: &mut Value,
    ) -> Result<(), FieldError> {
        match value {
            Value::Object(fields) => {
                if schema.embedded {
                    self.embedded(path, fields)?;
                }
                self.fields(path, schema, fields)
            }
            Value::Array(items) => {
                let Some(below) = schema.items.as_deref() else {
                    return Ok(());
                };
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&format!("{path}[{index}]"), below, item)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fields(
        &mut self,
        path: &str,
        schema: &Structural,
        fields: &mut Map<String, Value>,
    ) -> Result<(), FieldError> {
        for (name, value) in fields {
            if !value.is_object() && !value.is_array() {
                continue;
            }
            if let Some(property) = schema.properties.get(name.as_str()) {
                let dot = if path.is_empty() { "" } else { "." };
                self.value(&format!("{path}{dot}{name}"), property, value)?;
            } else if let Some(other) = schema.additional_schema() {
                self.value(&format!("{path}[{name}]"), other, value)?;
            }
        }
        Ok(())
    }

    fn embedded(&mut self, path: &str, fields: &mut Map<String, Value>) -> Result<(), FieldError> {
        for name in ["apiVersion", "kind"] {
            match fields.get(name) {
                Some(value) if !value.is_string() => {
                    if !self.drop {
                        let at = format!("{path}.{name}");
                        return Err(FieldError::invalid(at, value.clone(), "must be a string"));
                    }
                    fields.remove(name);
                }
                _ => {}
            }
        }
        let before = fields.get("metadata").cloned();
        let fitted = fit(fields, path, self.drop).map_err(|error| {
            let at = format!("{path}.metadata");
            FieldError::invalid(at, before.unwrap_or_default(), error.to_string())
        })?;
        self.unknown.extend(fitted);
        Ok(())
    }
}

/// What is wrong with embedded objects.
pub fn embedded(schema: &Structural, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_fields("", schema, object, &mut errors);
    errors
}

/// What is wrong with a value at `path` that is, or has in it, an embedded object.
pub fn embedded_value(schema: &Structural, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(path, schema, value, &mut errors);
    errors
}

fn check_fields(
    path: &str,
    schema: &Structural,
    fields: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    for (name, value) in fields {
        if !value.is_object() && !value.is_array() {
            continue;
        }
        if let Some(property) = schema.properties.get(name.as_str()) {
            let dot = if path.is_empty() { "" } else { "." };
            check(&format!("{path}{dot}{name}"), property, value, errors);
        } else if let Some(other) = schema.additional_schema() {
            check(&format!("{path}[{name}]"), other, value, errors);
        }
    }
}

fn check(path: &str, schema: &Structural, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(fields) => {
            if schema.embedded {
                check_embedded(path, fields, errors);
            }
            check_fields(path, schema, fields, errors);
        }
        Value::Array(items) => {
            let Some(below) = schema.items.as_deref() else {
                return;
            };
            for (index, item) in items.iter().enumerate() {
                check(&format!("{path}[{index}]"), below, item, errors);
            }
        }
        _ => {}
    }
}

fn check_embedded(path: &str, fields: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{path}.{name}");
    for name in ["apiVersion", "kind"] {
        match fields.get(name) {
            None => errors.push(FieldError::required(at(name), "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(at(name), "", "must not be empty"));
            }
            Some(Value::String(_)) => {}
            Some(other) => {
                errors.push(FieldError::invalid(
                    at(name),
                    other.clone(),
                    "must be a string",
                ));
            }
        }
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = text("apiVersion");
    if version.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {version}");
        errors.push(FieldError::invalid(at("apiVersion"), version, why));
    }
    let kind = text("kind");
    let wrong = names::dns1035_label(&kind.to_lowercase());
    if !kind.is_empty() && !wrong.is_empty() {
        let why = wrong.join(",");
        let why = format!("may have mixed case, but should otherwise match: {why}");
        errors.push(FieldError::invalid(at("kind"), kind, why));
    }
    if let Some(value) = fields.get("metadata") {
        check_metadata(&at("metadata"), value, errors);
    }
}

fn check_metadata(path: &str, value: &Value, errors: &mut Vec<FieldError>) {
    let mut found = Errors::new();
    let metadata = At::root(value, path);
    for field in ["name", "generateName"] {
        let name = metadata.field(field);
        if !name.str().is_empty() {
            found.invalid_all(&name, names::path_segment(name.str()));
        }
    }
    let namespace = metadata.field("namespace");
    if !namespace.str().is_empty() {
        found.invalid_all(&namespace, names::dns1123_label(namespace.str()));
    }
    metadata::labels(&metadata.field("labels"), &mut found);
    metadata::annotations(&metadata.field("annotations"), &mut found);
    errors.extend(found.0);
}
