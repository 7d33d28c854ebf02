//! What the schema of a CustomResourceDefinition may be: structural, with defaults that are valid, and
//! within what Kubernetes has of JSON schema. Paths, kinds of errors and words are Kubernetes'.
//! Kubernetes: apiextensions-apiserver `pkg/apis/apiextensions/validation`, `pkg/apiserver/schema`.

mod defaults;
mod form;
#[cfg(test)]
mod tests;
mod words;

use crate::resources::apiextensions::cel_rules;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// What may stand at the root of a schema when status is written apart: names in JSON and in Go.
const AT_ROOT: &[(&str, &str)] = &[
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "XPreserveUnknownFields",
    ),
    ("x-kubernetes-validations", "XValidations"),
];

pub(super) use words::{has_default, has_unsupported, unknown_formats};

/// Checks the schema of a version; `status` says that its status is written apart.
pub(super) fn check(schema: &At<'_, '_>, status: bool, errors: &mut Errors) {
    if status {
        root(schema, errors);
    }
    if schema.field("nullable").bool() {
        errors.forbidden(
            &schema.field("nullable"),
            "nullable cannot be true at the root",
        );
    }
    // Rules are compiled over types that make sense.
    let mut sound = !has_unsupported(schema.value);
    if sound {
        let mut found = form::check(schema);
        if found.is_empty() {
            found = defaults::check(schema);
        }
        sound = found.is_empty();
        errors.0.extend(found);
    }
    let mut words = Errors::new();
    words::check(schema, &mut words);
    let wrong: Vec<&str> = words.0.iter().map(|error| error.field.as_str()).collect();
    let rules = cel_rules::check(schema.value, &schema.path(), sound, &wrong);
    errors.0.extend(words.0);
    errors.0.extend(rules);
}

fn root(schema: &At<'_, '_>, errors: &mut Errors) {
    let kind = schema.field("type");
    if !kind.str().is_empty() && kind.str() != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status \
                      subresource is enabled";
        errors.invalid(&kind, detail);
        return;
    }
    let known = |name: &str| AT_ROOT.iter().any(|(own, _)| *own == name);
    let other = |(name, value): (&str, &Value)| {
        let empty = matches!(value, Value::Null | Value::Bool(false));
        !empty && !known(name)
    };
    if schema.entries().any(other) {
        let names: Vec<&str> = AT_ROOT.iter().map(|(_, name)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.invalid(schema, detail);
    }
}

/// Whether a flag is set.
fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

/// A text; empty if there is none.
fn text<'v>(schema: &'v Value, name: &str) -> &'v str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Runs over the properties of a schema, at their places.
fn each_property<'v>(schema: &At<'v, '_>, mut run: impl FnMut(&str, &At<'v, '_>)) {
    let properties = schema.field("properties");
    for (name, _) in properties.entries() {
        run(name, &properties.key(name));
    }
}
