//! From the JSON of a schema to the type. What a decoder of CustomResourceDefinitions lets through is
//! read; what it does not say is left at nothing.

use super::{Additional, ListType, Rule, Structural, Type, ValueRules, formats};
use serde_json::{Map, Value};

impl Structural {
    /// Reads a schema.
    pub fn of(schema: &Value) -> Self {
        let Value::Object(map) = schema else {
            return Self::default();
        };
        let kind = kind(map);
        let properties = map.get("properties").and_then(Value::as_object);
        Self {
            kind,
            nullable: flag(map, "nullable"),
            default: map.get("default").filter(|value| !value.is_null()).cloned(),
            items: map.get("items").map(|items| Box::new(Self::of(items))),
            properties: properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.as_str().into(), Self::of(schema)))
                .collect(),
            additional: match map.get("additionalProperties") {
                Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
                Some(schema @ Value::Object(_)) => Additional::Of(Box::new(Self::of(schema))),
                _ => Additional::Unsaid,
            },
            preserve_unknown: flag(map, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(map, "x-kubernetes-embedded-resource"),
            int_or_string: flag(map, "x-kubernetes-int-or-string"),
            list_type: match text(map, "x-kubernetes-list-type") {
                "set" => ListType::Set,
                "map" => ListType::Map,
                _ => ListType::Atomic,
            },
            list_keys: texts(map, "x-kubernetes-list-map-keys"),
            atomic_map: text(map, "x-kubernetes-map-type") == "atomic",
            validations: list(map, "x-kubernetes-validations").map(rule).collect(),
            rules: rules(map, kind),
        }
    }
}

fn kind(map: &Map<String, Value>) -> Type {
    match text(map, "type") {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Any,
    }
}

fn rules(map: &Map<String, Value>, kind: Type) -> ValueRules {
    let schemas = |name: &str| list(map, name).map(Structural::of).collect();
    ValueRules {
        format: match text(map, "format") {
            format if formats::is_checked(kind, format) => format.into(),
            _ => Box::default(),
        },
        maximum: float(map, "maximum"),
        exclusive_maximum: flag(map, "exclusiveMaximum"),
        minimum: float(map, "minimum"),
        exclusive_minimum: flag(map, "exclusiveMinimum"),
        max_length: int(map, "maxLength"),
        min_length: int(map, "minLength"),
        pattern: text(map, "pattern").into(),
        max_items: int(map, "maxItems"),
        min_items: int(map, "minItems"),
        unique_items: flag(map, "uniqueItems"),
        multiple_of: float(map, "multipleOf"),
        enumeration: list(map, "enum").cloned().collect(),
        max_properties: int(map, "maxProperties"),
        min_properties: int(map, "minProperties"),
        required: texts(map, "required"),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: map.get("not").map(|not| Box::new(Structural::of(not))),
        expression: Default::default(),
    }
}

fn rule(value: &Value) -> Rule {
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    Rule {
        rule: text(map, "rule").to_owned(),
        message: text(map, "message").to_owned(),
        message_expression: text(map, "messageExpression").to_owned(),
        reason: text(map, "reason").to_owned(),
        field_path: text(map, "fieldPath").to_owned(),
        optional_old_self: map.get("optionalOldSelf").and_then(Value::as_bool),
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn flag(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name) == Some(&Value::Bool(true))
}

fn int(map: &Map<String, Value>, name: &str) -> Option<i64> {
    map.get(name).and_then(Value::as_i64)
}

fn float(map: &Map<String, Value>, name: &str) -> Option<f64> {
    map.get(name).and_then(Value::as_f64)
}

fn list<'a>(map: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let list = map.get(name).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn texts(map: &Map<String, Value>, name: &str) -> Vec<Box<str>> {
    let texts = list(map, name).filter_map(Value::as_str);
    texts.map(Into::into).collect()
}
