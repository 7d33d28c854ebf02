//! The definition of a custom kind: what its CustomResourceDefinition says, with what every object
//! has. Old clients read a form of it that they can follow. Must not know paths.
//! Kubernetes: apiextensions-apiserver `pkg/controller/openapi`.

use super::Form;
use serde_json::{Map, Value, json};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

/// What version 2 of OpenAPI does not have.
const JUNCTORS: &[&str] = &["allOf", "anyOf", "oneOf", "not"];

/// The definition; `every` are the fields that every object has.
pub(super) fn definition(mut schema: Value, form: Form, every: &Map<String, Value>) -> Value {
    let Value::Object(fields) = &mut schema else {
        return json!({"type": "object"});
    };
    if form == Form::V2 {
        if flag(fields, PRESERVE) {
            return json!({"type": "object"});
        }
        plain(fields);
    }
    embed(fields, form, every);
    own(fields, every);
    schema
}

/// What every object has.
fn own(fields: &mut Map<String, Value>, every: &Map<String, Value>) {
    let properties = fields.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.extend(every.clone());
    }
}

/// Adds what every object has to the objects inside.
fn embed(fields: &mut Map<String, Value>, form: Form, every: &Map<String, Value>) {
    each_below(fields, &mut |below| embed(below, form, every));
    let unknown = form == Form::V2 && flag(fields, PRESERVE);
    if !flag(fields, EMBEDDED) || unknown {
        return;
    }
    own(fields, every);
    let required = fields.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|own| own == name) {
                required.push(json!(name));
            }
        }
    }
}

/// The form that clients of version 2 can follow.
/// Kubernetes: `ToStructuralOpenAPIV2`.
fn plain(fields: &mut Map<String, Value>) {
    for name in JUNCTORS {
        fields.remove(*name);
    }
    if fields.remove("nullable") == Some(Value::Bool(true)) {
        for name in ["type", "items", "properties"] {
            fields.remove(name);
        }
    }
    if flag(fields, PRESERVE) {
        fields.remove("items");
        fields.remove("properties");
    }
    let kind = fields.get("type").and_then(Value::as_str);
    let no_items = kind == Some("array") && !fields.contains_key("items");
    if no_items || (kind == Some("object") && flag(fields, PRESERVE)) {
        fields.remove("type");
    }
    require_what_may_not_be_null(fields);
    each_below(fields, &mut plain);
}

fn require_what_may_not_be_null(fields: &mut Map<String, Value>) {
    let null = |schema: Option<&Value>| {
        schema.and_then(|schema| schema.get("nullable")) == Some(&Value::Bool(true))
    };
    if null(fields.get("additionalProperties")) {
        fields.remove("required");
    }
    let Some(Value::Array(mut required)) = fields.remove("required") else {
        return;
    };
    let properties = fields.get("properties");
    required.retain(|name| {
        let property = name.as_str().and_then(|name| properties?.get(name));
        !null(property)
    });
    if !required.is_empty() {
        fields.insert("required".to_owned(), Value::Array(required));
    }
}

fn each_below(fields: &mut Map<String, Value>, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for property in properties.values_mut() {
            if let Value::Object(property) = property {
                act(property);
            }
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(Value::Object(below)) = fields.get_mut(name) {
            act(below);
        }
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name) == Some(&Value::Bool(true))
}
