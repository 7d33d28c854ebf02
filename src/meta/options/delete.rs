//! The options of a delete, from its body or its query. Must not know what deleting means.

use super::{Query, check_dry_run, invalid};
use crate::meta::{ApiError, FieldError, FieldErrorKind};
use serde_json::{Value, json};

/// What happens to the objects that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They lose their owner.
    Orphan,
    /// They are collected afterwards.
    Background,
    /// They are collected first.
    Foreground,
}

/// What must still be true of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resourceVersion.
    pub resource_version: Option<String>,
}

/// Options of delete and deletecollection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds that the object may take to end; `None` for the kind's own.
    pub grace_period_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Preconditions,
    /// What happens to dependents; `None` for the kind's own.
    pub propagation: Option<Propagation>,
    /// Whether the deletion of dependents was asked for in the old way: `orphanDependents: false`.
    pub asked_to_cascade: bool,
    /// Whether nothing is to be deleted.
    pub dry_run: bool,
    /// Delete an object even though it cannot be read.
    pub ignore_store_read_error: bool,
}

impl DeleteOptions {
    /// Reads the options from the query of a request without a body, and checks them.
    pub fn parse_query(query: Query<'_>) -> Result<Self, ApiError> {
        let mut body = json!({});
        if let Some(seconds) = query.int("gracePeriodSeconds")? {
            set(&mut body, "gracePeriodSeconds", json!(seconds));
        }
        for name in [
            "orphanDependents",
            "ignoreStoreReadErrorWithClusterBreakingPotential",
        ] {
            if let Some(said) = query.bool(name) {
                set(&mut body, name, json!(said));
            }
        }
        if let Some(policy) = query.get("propagationPolicy") {
            set(&mut body, "propagationPolicy", json!(policy));
        }
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        set(&mut body, "dryRun", json!(dry_run));
        Self::checked(&body)
    }

    /// Reads the options from a body (null for an empty one) and checks them.
    pub fn parse_body(body: &Value) -> Result<Self, ApiError> {
        if body.is_null() {
            return Ok(Self::default());
        }
        let kind = body.get("kind").and_then(Value::as_str);
        if !body.is_object() || kind.is_some_and(|k| !k.is_empty() && k != "DeleteOptions") {
            return Err(ApiError::bad_request(
                "decoded object cannot be converted to DeleteOptions",
            ));
        }
        for (name, right) in [
            ("gracePeriodSeconds", Value::is_i64 as fn(&Value) -> bool),
            ("preconditions", Value::is_object),
            ("propagationPolicy", Value::is_string),
            ("orphanDependents", Value::is_boolean),
            ("dryRun", Value::is_array),
        ] {
            if let Some(value) = body.get(name).filter(|v| !v.is_null() && !right(v)) {
                return Err(ApiError::bad_request(format!(
                    "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: \
                     json: cannot unmarshal {} into Go struct field DeleteOptions.{name}",
                    json_type(value)
                )));
            }
        }
        Self::checked(body)
    }

    fn checked(body: &Value) -> Result<Self, ApiError> {
        let orphan = body.get("orphanDependents").and_then(Value::as_bool);
        let policy = body.get("propagationPolicy").and_then(Value::as_str);
        let mut errors = Vec::new();
        if let (Some(_), Some(policy)) = (orphan, policy) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid("propagationPolicy", policy, detail));
        }
        let propagation = match policy {
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some(other) => {
                errors.push(FieldError::new(
                    FieldErrorKind::NotSupported,
                    "propagationPolicy",
                    other,
                    "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
                ));
                None
            }
            None => orphan.map(|yes| {
                if yes {
                    Propagation::Orphan
                } else {
                    Propagation::Background
                }
            }),
        };
        let dry_run = body.get("dryRun").and_then(Value::as_array);
        let dry_run = dry_run.into_iter().flatten();
        let dry_run: Vec<&str> = dry_run.map(|v| v.as_str().unwrap_or_default()).collect();
        errors.extend(check_dry_run(&dry_run));
        invalid("DeleteOptions", &errors)?;
        let condition = |name: &str| {
            let found = body.get("preconditions").and_then(|p| p.get(name));
            found.and_then(Value::as_str).map(str::to_owned)
        };
        let ignore = body.get("ignoreStoreReadErrorWithClusterBreakingPotential");
        Ok(Self {
            grace_period_seconds: body.get("gracePeriodSeconds").and_then(Value::as_i64),
            preconditions: Preconditions {
                uid: condition("uid"),
                resource_version: condition("resourceVersion"),
            },
            propagation,
            asked_to_cascade: orphan == Some(false),
            dry_run: !dry_run.is_empty(),
            ignore_store_read_error: ignore.and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

fn set(body: &mut Value, name: &str, value: Value) {
    if let Value::Object(map) = body {
        map.insert(name.to_owned(), value);
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
