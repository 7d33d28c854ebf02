//! Strict decoding: a value is walked along its shape. Wrong types are told in the words of
//! Kubernetes' decoder; unknown fields are named by their path and taken out. Must not know what a
//! request does with either.
//! Kubernetes: `sigs.k8s.io/json`, and the decoders of Quantity, Time, IntOrString and bytes.

use super::node::{Form, Node, Shape, Struct, StructRef};
use crate::meta::quantity::Quantity;
use crate::meta::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Deepest nesting that is decoded, as deep as Kubernetes' decoder goes.
const DEPTH_MAX: usize = 10_000;
/// Most unknown fields that are told in one answer; the rest is taken out in silence.
const UNKNOWN_MAX: usize = 100;

/// What a decoding found besides the value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Paths of fields that were taken out, for example `spec.containers[0].nmae`; a strict
    /// decoder answers `unknown field "<path>"` to each.
    pub unknown_fields: Vec<String>,
}

/// Why a value is not of its kind, in the words of Kubernetes' decoder.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Decodes in place.
pub(super) fn decode(
    root: &Node,
    value: &mut Value,
    builtin: bool,
) -> Result<Decoded, DecodeError> {
    let mut walk = Walk {
        builtin,
        steps: Vec::new(),
        owner: None,
        found: Decoded::default(),
    };
    walk.node(root, value)?;
    Ok(walk.found)
}

enum Step {
    Field(String),
    Index(usize),
}

struct Walk<'a> {
    builtin: bool,
    steps: Vec<Step>,
    /// The struct whose field is being decoded, and how long the path to that field is.
    owner: Option<(&'a StructRef, usize)>,
    found: Decoded,
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: &'a Node, value: &mut Value) -> Result<(), DecodeError> {
        if self.steps.len() > DEPTH_MAX {
            return Err(DecodeError("exceeded max depth".to_owned()));
        }
        match (&node.shape, &mut *value) {
            (Shape::Any, _) | (Shape::AnyObject(_), Value::Object(_)) => Ok(()),
            (Shape::Struct(named), Value::Object(fields)) => self.structure(named, fields),
            (Shape::Map(item), Value::Object(entries)) => {
                for (key, entry) in entries.iter_mut() {
                    self.at(Step::Field(key.clone()), item, entry)?;
                }
                Ok(())
            }
            (Shape::List(item), Value::Array(items)) => {
                for (index, entry) in items.iter_mut().enumerate() {
                    self.at(Step::Index(index), item, entry)?;
                }
                Ok(())
            }
            (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => Ok(()),
            (Shape::String(form), Value::String(text)) => {
                if let Some(stored) = string(*form, text)? {
                    *text = stored;
                }
                Ok(())
            }
            (Shape::Integer(wide), Value::Number(number)) => match number.as_i64() {
                Some(n) if *wide || i32::try_from(n).is_ok() => Ok(()),
                _ => Err(self.wrong(&format!("number {number}"), node)),
            },
            (Shape::IntOrString, _) => self.int_or_string(value),
            (Shape::Quantity, _) => {
                let amount = Quantity::from_value(value);
                *value = Value::String(amount.map_err(|e| DecodeError(e.to_string()))?.to_string());
                Ok(())
            }
            (_, other) => Err(self.wrong(kind_of(other), node)),
        }
    }

    fn at(&mut self, step: Step, node: &'a Node, value: &mut Value) -> Result<(), DecodeError> {
        if value.is_null() && self.builtin {
            *value = zero(&node.shape);
            return Ok(());
        }
        self.steps.push(step);
        let result = self.node(node, value);
        self.steps.pop();
        result
    }

    fn structure(
        &mut self,
        named: &'a StructRef,
        fields: &mut Map<String, Value>,
    ) -> Result<(), DecodeError> {
        let body = named.body();
        let outer = self.owner.take();
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            let Some(node) = body.field(&name) else {
                self.unknown(&name);
                fields.remove(&name);
                continue;
            };
            let Some(value) = fields.get_mut(&name) else {
                continue;
            };
            if !value.is_null() {
                self.owner = Some((named, self.steps.len() + 1));
                self.steps.push(Step::Field(name.clone()));
                let result = self.node(node, value);
                self.steps.pop();
                result?;
            }
            if is_left_out(body, &name, node, value, self.builtin) {
                fields.remove(&name);
            }
        }
        self.owner = outer;
        Ok(())
    }

    fn int_or_string(&self, value: &Value) -> Result<(), DecodeError> {
        let told = match value {
            Value::String(_) => return Ok(()),
            Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
                return Ok(());
            }
            Value::Number(number) => format!("number {number}"),
            other => kind_of(other).to_owned(),
        };
        Err(DecodeError(format!(
            "json: cannot unmarshal {told} into Go value of type int32"
        )))
    }

    fn unknown(&mut self, name: &str) {
        if self.found.unknown_fields.len() < UNKNOWN_MAX {
            let mut path = self.path();
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            self.found.unknown_fields.push(path);
        }
    }

    /// `spec.containers[0]`.
    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.steps {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Index(index) => {
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        path
    }

    /// The decoder names the struct whose field it was in, and the path without indices and
    /// without keys below that field.
    fn wrong(&self, told: &str, node: &Node) -> DecodeError {
        let wanted = go_type(node);
        let Some((owner, length)) = self.owner else {
            return DecodeError(format!(
                "json: cannot unmarshal {told} into Go value of type {wanted}"
            ));
        };
        let names = self.steps.iter().take(length).filter_map(|s| match s {
            Step::Field(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        let path: Vec<&str> = names.collect();
        DecodeError(format!(
            "json: cannot unmarshal {told} into Go struct field {}.{} of type {wanted}",
            owner.short_name(),
            path.join(".")
        ))
    }
}

/// Kubernetes' types leave out what is empty: absent and null are the same, and so is an empty
/// list or map, unless the field must be given.
fn is_left_out(body: &Struct, name: &str, node: &Node, value: &Value, builtin: bool) -> bool {
    if !builtin {
        return false;
    }
    match (&node.shape, value) {
        (Shape::List(_), Value::Array(items)) => items.is_empty() && !body.requires(name),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty() && !body.requires(name),
        (Shape::Any, _) => false,
        (_, value) => value.is_null(),
    }
}

/// What a null becomes in a list or a map.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::String(_) => Value::String(String::new()),
        Shape::Integer(_) | Shape::Number | Shape::IntOrString => Value::from(0),
        Shape::Quantity => Value::from("0"),
        Shape::Boolean => Value::Bool(false),
        Shape::Struct(_) => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

/// The form in which a string is stored, if it differs.
fn string(form: Form, text: &str) -> Result<Option<String>, DecodeError> {
    match form {
        Form::Plain => Ok(None),
        Form::Time => time_of(text, "2006-01-02T15:04:05Z07:00", time::rfc3339).map(Some),
        Form::MicroTime => time_of(
            text,
            "2006-01-02T15:04:05.000000Z07:00",
            time::rfc3339_micro,
        )
        .map(Some),
        Form::Bytes => {
            let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            match STANDARD.decode(&clean) {
                Ok(_) if clean.len() == text.len() => Ok(None),
                Ok(_) => Ok(Some(clean)),
                Err(error) => Err(DecodeError(format!(
                    "illegal base64 data at input byte {}",
                    offset(&error, clean.len())
                ))),
            }
        }
    }
}

fn offset(error: &base64::DecodeError, length: usize) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            *at
        }
        _ => length / 4 * 4,
    }
}

fn time_of(
    text: &str,
    layout: &str,
    write: fn(jiff::Timestamp) -> String,
) -> Result<String, DecodeError> {
    match time::parse(text) {
        Some(time) => Ok(write(time)),
        None => Err(DecodeError(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
        ))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The type as Kubernetes' messages name it.
fn go_type(node: &Node) -> String {
    match &node.shape {
        Shape::Any => "interface {}".to_owned(),
        Shape::AnyObject(_) => "map[string]interface {}".to_owned(),
        Shape::String(Form::Bytes) => "[]uint8".to_owned(),
        Shape::String(_) => "string".to_owned(),
        Shape::Integer(true) => "int64".to_owned(),
        Shape::Integer(false) | Shape::IntOrString => "int32".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Quantity => "resource.Quantity".to_owned(),
        Shape::List(item) => format!("[]{}", go_type(item)),
        Shape::Map(item) => format!("map[string]{}", go_type(item)),
        Shape::Struct(named) => named.versioned_name().to_owned(),
    }
}
