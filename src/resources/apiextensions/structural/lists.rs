//! Items of a list that must differ: sets by the whole item, maps by their keys.
//! Kubernetes: apiextensions-apiserver `schema/listtype`.

use super::{ListType, Structural};
use crate::meta::FieldError;
use serde_json::{Map, Value, json};

/// What stands twice in lists of an object.
pub fn duplicates(schema: &Structural, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    in_fields("", schema, object, &mut errors);
    errors
}

fn in_fields(
    path: &str,
    schema: &Structural,
    fields: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    for (name, value) in fields {
        if !value.is_array() && !value.is_object() {
            continue;
        }
        if let Some(other) = schema.additional_schema() {
            in_value(&format!("{path}[{name}]"), other, value, errors);
        }
        if let Some(property) = schema.properties.get(name.as_str()) {
            let dot = if path.is_empty() { "" } else { "." };
            in_value(&format!("{path}{dot}{name}"), property, value, errors);
        }
    }
}

fn in_value(path: &str, schema: &Structural, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(fields) => in_fields(path, schema, fields, errors),
        Value::Array(items) => {
            match schema.list_type {
                ListType::Atomic => {}
                ListType::Set => {
                    let twice = twice(items);
                    errors.extend(twice.filter_map(|index| {
                        let item = items.get(index)?.clone();
                        Some(FieldError::duplicate(format!("{path}[{index}]"), item))
                    }));
                }
                ListType::Map => by_keys(path, schema, items, errors),
            }
            if let Some(below) = schema.items.as_deref() {
                for (index, item) in items.iter().enumerate() {
                    in_value(&format!("{path}[{index}]"), below, item, errors);
                }
            }
        }
        _ => {}
    }
}

fn by_keys(path: &str, schema: &Structural, items: &[Value], errors: &mut Vec<FieldError>) {
    let wrong = items
        .iter()
        .position(|item| !item.is_object() && !item.is_null());
    if let Some(index) = wrong {
        let detail = "must be an object for an array of list-type map";
        let item = items.get(index).cloned().unwrap_or_default();
        let at = format!("{path}[{index}]");
        errors.push(FieldError::invalid(at, item, detail));
        return;
    }
    let key_of = |item: &Value| {
        let pairs = schema.list_keys.iter().filter_map(|key| {
            let value = item.get(&**key)?;
            Some((key.to_string(), value.clone()))
        });
        Value::Object(pairs.collect())
    };
    let keys: Vec<Value> = items.iter().map(key_of).collect();
    for index in twice(&keys) {
        let key = keys.get(index).cloned().unwrap_or_else(|| json!({}));
        errors.push(FieldError::duplicate(format!("{path}[{index}]"), key));
    }
}

/// Where a value stands for the second time; a third is not told.
fn twice(items: &[Value]) -> impl Iterator<Item = usize> {
    let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    items.iter().enumerate().filter_map(move |(index, item)| {
        let times = seen.entry(item.to_string()).or_default();
        *times += 1;
        (*times == 2).then_some(index)
    })
}
