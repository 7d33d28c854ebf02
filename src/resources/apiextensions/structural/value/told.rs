//! What a check has found, in Kubernetes' words. Must not know schemas.

use crate::meta::{FieldError, FieldErrorKind};
use serde_json::Value;

/// What Kubernetes calls the path of a whole object.
const NOWHERE: &str = "<nil>";

/// A finding: its place, and the sentence by which findings are told apart.
#[derive(Debug)]
pub(super) struct Told {
    name: String,
    sentence: String,
    kind: FieldErrorKind,
    value: Value,
    detail: String,
}

/// What one check, or all of them, have found. How much of a schema a value matches tells which of
/// several schemas it was meant for.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    errors: Vec<Told>,
    pub(super) matched: usize,
}

impl Outcome {
    pub(super) fn right() -> Self {
        Self {
            errors: Vec::new(),
            matched: 1,
        }
    }

    pub(super) fn of(error: Told) -> Self {
        Self {
            errors: vec![error],
            matched: 0,
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Without its errors.
    pub(super) fn forgiven(mut self) -> Self {
        self.errors.clear();
        self
    }

    /// Adds an error, once.
    pub(super) fn error(&mut self, error: Told) {
        if !self.errors.iter().any(|own| own.sentence == error.sentence) {
            self.errors.push(error);
        }
    }

    /// Adds a sentence that is told of no field.
    pub(super) fn plain(&mut self, sentence: String) {
        self.error(Told {
            name: String::new(),
            detail: sentence.clone(),
            sentence,
            kind: FieldErrorKind::Invalid,
            value: "".into(),
        });
    }

    pub(super) fn merge(&mut self, other: Option<Self>) {
        let Some(other) = other else { return };
        for error in other.errors {
            self.error(error);
        }
        self.matched += other.matched;
    }

    /// Adds what a check of this level has found.
    pub(super) fn part(&mut self, other: Self) {
        self.merge(Some(other));
        self.matched += 1;
    }

    /// As errors of fields below `path`.
    pub(super) fn into_errors(self, path: &str) -> Vec<FieldError> {
        let at = |name: &str| {
            let name = name.trim_start_matches('.');
            match (path, name) {
                ("", "") => NOWHERE.to_owned(),
                ("", name) => name.to_owned(),
                (path, "") => path.to_owned(),
                (path, name) => format!("{path}.{name}"),
            }
        };
        let errors = self.errors.into_iter();
        errors
            .map(|told| FieldError::new(told.kind, at(&told.name), told.value, told.detail))
            .collect()
    }
}

pub(super) fn invalid(path: &str, value: impl Into<Value>, why: String) -> Told {
    Told {
        name: path.to_owned(),
        sentence: why.clone(),
        kind: FieldErrorKind::Invalid,
        value: value.into(),
        detail: why,
    }
}

/// A value of another type or format; `found` is what is there.
pub(super) fn wrong_type(path: &str, wanted: &str, found: &str) -> Told {
    let why = format!("{path} in body must be of type {wanted}: {found:?}");
    Told {
        kind: FieldErrorKind::TypeInvalid,
        ..invalid(path, found, why)
    }
}

pub(super) fn required(path: &str) -> Told {
    Told {
        name: path.to_owned(),
        sentence: format!("{path} in body is required"),
        kind: FieldErrorKind::Required,
        value: Value::Null,
        detail: String::new(),
    }
}

pub(super) fn too_long(path: &str, max: i64) -> Told {
    Told {
        name: path.to_owned(),
        sentence: format!("{path} in body should be at most {max} chars long"),
        kind: FieldErrorKind::TooLong,
        value: Value::Null,
        detail: match max {
            ..=-1 => "value is too long".to_owned(),
            1 => "may not be more than 1 byte".to_owned(),
            _ => format!("may not be more than {max} bytes"),
        },
    }
}

pub(super) fn too_many(path: &str, size: i64, max: i64, of: &str) -> Told {
    Told {
        name: path.to_owned(),
        sentence: format!("{path} in body should have at most {max} {of}"),
        kind: FieldErrorKind::TooMany,
        value: size.into(),
        detail: match max {
            ..=-1 => "has too many items".to_owned(),
            1 => "must have at most 1 item".to_owned(),
            _ => format!("must have at most {max} items"),
        },
    }
}

pub(super) fn not_allowed(path: &str, value: &Value, allowed: &[Value]) -> Told {
    let quoted = |one: &Value| match one {
        Value::String(text) => format!("{text:?}"),
        other => format!("{:?}", other.to_string()),
    };
    let list: Vec<String> = allowed.iter().map(quoted).collect();
    Told {
        name: path.to_owned(),
        sentence: format!("{path} in body should be one of {list:?}"),
        kind: FieldErrorKind::NotSupported,
        value: value.clone(),
        detail: format!("supported values: {}", list.join(", ")),
    }
}
