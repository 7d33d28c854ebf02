//! A place in an object that is being checked, and the errors found there. Paths are built only
//! when something is wrong. Must not know kinds.

use crate::meta::{FieldError, FieldErrorKind, Object};
use serde_json::Value;
use std::fmt::Write as _;

static NULL: Value = Value::Null;

/// A value and where it stands. What is absent is null.
#[derive(Clone, Copy)]
pub struct At<'v, 'p> {
    /// The value, null if absent.
    pub value: &'v Value,
    parent: Option<&'p At<'v, 'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl<'v> At<'v, '_> {
    /// A top-level field of an object.
    pub fn of<'n>(object: &'v Object, name: &'n str) -> At<'v, 'n> {
        At {
            value: object.fields().get(name).unwrap_or(&NULL),
            parent: None,
            step: Step::Field(name),
        }
    }

    /// A value at a path that is given.
    pub fn root<'n>(value: &'v Value, path: &'n str) -> At<'v, 'n> {
        At {
            value,
            parent: None,
            step: Step::Field(path),
        }
    }

    /// A field of this object.
    pub fn field<'s>(&'s self, name: &'s str) -> At<'v, 's> {
        At {
            value: self.value.get(name).unwrap_or(&NULL),
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// An entry of this map, written `[key]`.
    pub fn key<'s>(&'s self, name: &'s str) -> At<'v, 's> {
        At {
            value: self.value.get(name).unwrap_or(&NULL),
            parent: Some(self),
            step: Step::Key(name),
        }
    }

    /// An item of this list.
    pub fn index(&self, index: usize) -> At<'v, '_> {
        At {
            value: self.value.get(index).unwrap_or(&NULL),
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// The items of this list.
    pub fn items<'s>(&'s self) -> impl Iterator<Item = At<'v, 's>> {
        (0..self.len()).map(move |index| self.index(index))
    }

    /// The values of this list.
    pub fn values(&self) -> impl Iterator<Item = &'v Value> + use<'v> {
        self.value.as_array().into_iter().flatten()
    }

    /// The entries of this map.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, &'v Value)> + use<'v> {
        let map = self.value.as_object().into_iter().flatten();
        map.map(|(key, value)| (key.as_str(), value))
    }

    /// How many items or entries there are.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            _ => 0,
        }
    }

    /// Whether there are no items or entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the field is given.
    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The string; empty if absent.
    pub fn str(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    /// The number; 0 if absent.
    pub fn number(&self) -> i64 {
        self.int().unwrap_or(0)
    }

    /// The number.
    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// True or false; false if absent.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    /// The path in Kubernetes' notation.
    pub fn path(&self) -> String {
        let mut path = match self.parent {
            Some(parent) => parent.path(),
            None => String::new(),
        };
        let _ = match self.step {
            Step::Field(name) if path.is_empty() => write!(path, "{name}"),
            Step::Field(name) => write!(path, ".{name}"),
            Step::Index(index) => write!(path, "[{index}]"),
            Step::Key(name) => write!(path, "[{name}]"),
        };
        path
    }
}

/// Errors as they are found.
#[derive(Default)]
pub struct Errors(pub Vec<FieldError>);

impl Errors {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// `Required value`.
    pub fn required(&mut self, at: &At<'_, '_>, detail: &str) {
        self.0.push(FieldError::required(at.path(), detail));
    }

    /// `Invalid value`, with the value that stands there.
    pub fn invalid(&mut self, at: &At<'_, '_>, detail: impl Into<String>) {
        self.0
            .push(FieldError::invalid(at.path(), at.value.clone(), detail));
    }

    /// `Invalid value`, with another value than the one that stands there.
    pub fn invalid_as(
        &mut self,
        at: &At<'_, '_>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) {
        self.0.push(FieldError::invalid(at.path(), value, detail));
    }

    /// `Invalid value`, without the value.
    pub fn invalid_omitted(&mut self, at: &At<'_, '_>, detail: impl Into<String>) {
        let kind = FieldErrorKind::InvalidOmitted;
        self.0
            .push(FieldError::new(kind, at.path(), Value::Null, detail));
    }

    /// An `Invalid value` for each detail; a text that is absent is an empty one.
    pub fn invalid_all(&mut self, at: &At<'_, '_>, details: Vec<String>) {
        for detail in details {
            if at.is_set() {
                self.invalid(at, detail);
            } else {
                self.invalid_as(at, "", detail);
            }
        }
    }

    /// `Too many: N: must have at most MAX items`.
    pub fn too_many(&mut self, at: &At<'_, '_>, max: usize) {
        self.0.push(FieldError::new(
            FieldErrorKind::TooMany,
            at.path(),
            at.len(),
            match max {
                1 => "must have at most 1 item".to_owned(),
                _ => format!("must have at most {max} items"),
            },
        ));
    }

    /// `Forbidden`.
    pub fn forbidden(&mut self, at: &At<'_, '_>, detail: impl Into<String>) {
        self.0.push(FieldError::forbidden(at.path(), detail));
    }

    /// `Duplicate value`.
    pub fn duplicate(&mut self, at: &At<'_, '_>) {
        self.duplicate_as(at, at.value.clone());
    }

    /// `Duplicate value`, with another value than the one that stands there.
    pub fn duplicate_as(&mut self, at: &At<'_, '_>, value: impl Into<Value>) {
        self.0.push(FieldError::duplicate(at.path(), value));
    }

    /// `Not found`, of a text.
    pub fn not_found(&mut self, at: &At<'_, '_>) {
        self.0.push(FieldError::new(
            FieldErrorKind::NotFound,
            at.path(),
            at.str(),
            "",
        ));
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(&mut self, at: &At<'_, '_>, bytes: usize) {
        self.0.push(FieldError::new(
            FieldErrorKind::TooLong,
            at.path(),
            Value::Null,
            format!("may not be more than {bytes} bytes"),
        ));
    }

    /// `Unsupported value` unless one of `supported` stands there.
    pub fn one_of(&mut self, at: &At<'_, '_>, supported: &[&str]) {
        if !supported.contains(&at.str()) {
            self.not_supported(at, supported);
        }
    }

    /// `Unsupported value`.
    pub fn not_supported(&mut self, at: &At<'_, '_>, supported: &[&str]) {
        self.0
            .push(FieldError::not_supported(at.path(), at.str(), supported));
    }

    /// `must be greater than or equal to 0` unless it is or is absent.
    pub fn not_negative(&mut self, at: &At<'_, '_>) {
        if at.int().is_some_and(|n| n < 0) {
            self.invalid(at, "must be greater than or equal to 0");
        }
    }

    /// `must be greater than 0` unless it is or is absent.
    pub fn positive(&mut self, at: &At<'_, '_>) {
        if at.int().is_some_and(|n| n <= 0) {
            self.invalid(at, "must be greater than zero");
        }
    }

    /// `field is immutable` if the two differ.
    pub fn immutable(&mut self, new: &At<'_, '_>, old: &Value) {
        if new.value != old {
            self.invalid(new, "field is immutable");
        }
    }
}
