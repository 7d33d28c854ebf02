//! Secret: what only some may read.

use super::config_map::{DATA_MAX_BYTES, decoded_bytes, immutable};
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, SelectableField};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep};
use crate::resources::validate::{At, Errors};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Secret"),
    "SecretList",
    ("secrets", "secret"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Secret>(),
    &SecretStrategy,
)
.selectable_fields(const { &[SelectableField::path("type")] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Type", "What kind of secret it is."),
            Column::new("Data", "How many keys there are."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"data":{"key":"dmFsdWU="}}"#);

/// What a Secret does beyond its shape.
pub struct SecretStrategy;

impl Strategy for SecretStrategy {
    fn default(&self, secret: &mut Object) {
        if secret.str_at(&["type"]).is_empty() {
            secret.set(&["type"], json!("Opaque"));
        }
    }

    /// `stringData` is a way to write `data`.
    fn prepare_for_create(&self, secret: &mut Object) {
        fold_string_data(secret);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut Object, old: &Object) {
        fold_string_data(new);
        if new.str_at(&["type"]).is_empty() {
            keep(new, old, "type");
        }
    }

    fn validate(&self, secret: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let data = At::of(secret, "data");
        let mut bytes = 0;
        for (key, value) in data.entries() {
            for detail in names::config_map_key(key) {
                errors.invalid_as(&data.key(key), key, detail);
            }
            bytes += value.as_str().map_or(0, decoded_bytes);
        }
        if bytes > DATA_MAX_BYTES {
            errors.too_long(&data, DATA_MAX_BYTES);
        }
        of_type(secret, &data, &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let old_type = old.get(&["type"]).unwrap_or(&Value::Null);
        errors.immutable(&At::of(new, "type"), old_type);
        errors.0.extend(immutable(new, old, &["data"]));
        errors.0.extend(self.validate(new));
        errors.0
    }
}

fn fold_string_data(secret: &mut Object) {
    let Some(Value::Object(texts)) = secret.remove(&["stringData"]) else {
        return;
    };
    for (key, text) in texts {
        let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
        secret.set(&["data", &key], json!(encoded));
    }
}

/// The keys that a type must have.
fn of_type(secret: &Object, data: &At<'_, '_>, errors: &mut Errors) {
    let kind = At::of(secret, "type");
    let required: &[&str] = match kind.str() {
        "kubernetes.io/service-account-token" => {
            let metadata = At::of(secret, "metadata");
            let annotations = metadata.field("annotations");
            let name = annotations.key("kubernetes.io/service-account.name");
            if name.str().is_empty() {
                errors.required(&name, "");
            }
            &[]
        }
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/basic-auth" => {
            let has = |key: &str| data.value.get(key).is_some();
            if !has("username") && !has("password") {
                errors.required(&data.key("username"), "");
                errors.required(&data.key("password"), "");
            }
            &[]
        }
        _ => &[],
    };
    for key in required {
        let at = data.key(key);
        if !at.is_set() {
            errors.required(&at, "");
        } else if key.starts_with(".docker") && !is_json(at.str()) {
            errors.invalid_as(&at, "<secret contents redacted>", "invalid JSON");
        }
    }
}

fn is_json(base64: &str) -> bool {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    serde_json::from_slice::<IgnoredAny>(&bytes).is_ok()
}

fn row(secret: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(secret.name()),
        json!(secret.str_at(&["type"])),
        json!(At::of(secret, "data").len().to_string()),
        columns::age(secret, now),
    ]
}
