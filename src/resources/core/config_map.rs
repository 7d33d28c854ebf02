//! ConfigMap: settings for pods, as strings and as bytes.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What a ConfigMap or a Secret may hold (bytes).
pub const DATA_MAX_BYTES: usize = 1024 * 1024;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ConfigMap"),
    "ConfigMapList",
    ("configmaps", "configmap"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ConfigMap>(),
    &ConfigMapStrategy,
)
.short_names(const { &[text("cm")] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Data", "How many keys there are."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"data":{"key":"value"}}"#);

/// What a ConfigMap does beyond its shape.
pub struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {
    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (data, binary) = (At::of(object, "data"), At::of(object, "binaryData"));
        let mut bytes = 0;
        for (key, value) in data.entries() {
            let at = data.key(key);
            for detail in names::config_map_key(key) {
                errors.invalid_as(&at, key, detail);
            }
            if binary.value.get(key).is_some() {
                errors.invalid_as(&at, key, "duplicate of key present in binaryData");
            }
            bytes += value.as_str().map_or(0, str::len);
        }
        for (key, value) in binary.entries() {
            for detail in names::config_map_key(key) {
                errors.invalid_as(&binary.key(key), key, detail);
            }
            bytes += value.as_str().map_or(0, decoded_bytes);
        }
        if bytes > DATA_MAX_BYTES {
            // Kubernetes names no field here, and its empty path reads `[]`.
            errors.too_long(&At::root(&Value::Null, "[]"), DATA_MAX_BYTES);
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(immutable(new, old, &["data", "binaryData"]));
        errors.0.extend(self.validate(new));
        errors.0
    }
}

/// What an immutable ConfigMap or Secret may not change any more.
pub(super) fn immutable(new: &Object, old: &Object, fields: &[&str]) -> Vec<FieldError> {
    let mut errors = Errors::new();
    if old.get(&["immutable"]) != Some(&Value::Bool(true)) {
        return errors.0;
    }
    let detail = "field is immutable when `immutable` is set";
    let flag = At::of(new, "immutable");
    if !flag.bool() {
        errors.forbidden(&flag, detail);
    }
    for field in fields {
        if new.get(&[field]) != old.get(&[field]) {
            errors.forbidden(&At::of(new, field), detail);
        }
    }
    errors.0
}

/// How many bytes a base64 text stands for.
pub(super) fn decoded_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn row(object: &Object, now: Timestamp) -> Vec<Value> {
    let data = At::of(object, "data").len() + At::of(object, "binaryData").len();
    vec![
        json!(object.name()),
        json!(data.to_string()),
        columns::age(object, now),
    ]
}
