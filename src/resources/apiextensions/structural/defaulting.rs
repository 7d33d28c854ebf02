//! Fills in defaults, after nulls that may not stand have been taken out.
//! Kubernetes: apiextensions-apiserver `schema/defaulting`.

use super::Structural;
use serde_json::{Map, Value};

impl Structural {
    /// Fills in defaults where nothing stands, or a null that may not.
    pub fn fill(&self, object: &mut Map<String, Value>) {
        fill_fields(object, self);
    }

    /// Takes out nulls that may not stand and that no default replaces.
    pub fn drop_nulls(&self, object: &mut Map<String, Value>) {
        drop_fields(object, Some(self));
    }

    /// Whether a null here stands for "nothing is said".
    fn is_absent(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }
}

fn fill_value(value: &mut Value, schema: &Structural) {
    match value {
        Value::Object(fields) => fill_fields(fields, schema),
        Value::Array(items) => {
            let Some(below) = schema.items.as_deref() else {
                return;
            };
            for item in items {
                replace_absent(item, below);
                fill_value(item, below);
            }
        }
        _ => {}
    }
}

fn fill_fields(fields: &mut Map<String, Value>, schema: &Structural) {
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else {
            continue;
        };
        let wanted = match fields.get(&**name) {
            None => true,
            Some(value) => property.is_absent(value),
        };
        if wanted {
            fields.insert(name.to_string(), default.clone());
        }
    }
    for (name, value) in fields {
        if let Some(property) = schema.properties.get(name.as_str()) {
            fill_value(value, property);
        } else if let Some(other) = schema.additional_schema() {
            replace_absent(value, other);
            fill_value(value, other);
        }
    }
}

fn replace_absent(value: &mut Value, schema: &Structural) {
    if schema.is_absent(value)
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}

fn drop_value(value: &mut Value, schema: Option<&Structural>) {
    match value {
        Value::Object(fields) => drop_fields(fields, schema),
        Value::Array(items) => {
            let below = schema.and_then(|schema| schema.items.as_deref());
            for item in items {
                drop_value(item, below);
            }
        }
        _ => {}
    }
}

fn drop_fields(fields: &mut Map<String, Value>, schema: Option<&Structural>) {
    fields.retain(|name, value| {
        let below = schema.and_then(|schema| schema.at_key(name));
        if below.is_some_and(|below| below.is_absent(value) && below.default.is_none()) {
            return false;
        }
        drop_value(value, below);
        true
    });
}
