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

/// Deepest nesting that is decoded; parsers stop at half of it.
const DEPTH_MAX: usize = 256;
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

/// Decodes in place. Paths are built on the way back from what is wrong, so that what is right
/// costs none.
pub(super) fn decode(root: &Node, value: &mut Value) -> Result<Decoded, DecodeError> {
    let mut walk = Walk {
        depth: 0,
        found: Decoded::default(),
    };
    match walk.node(root, value) {
        Ok(()) => Ok(walk.found),
        Err(wrong) => Err(DecodeError(wrong.words())),
    }
}

/// What is wrong, and where: the struct whose field it is, and the path to that field, last first.
struct Wrong {
    told: Told,
    owner: Option<String>,
    path: Vec<String>,
}

enum Told {
    /// A sentence that names no place.
    Sentence(String),
    /// A value of one type where another is wanted.
    Type { found: String, wanted: String },
}

impl Wrong {
    fn sentence(words: impl Into<String>) -> Self {
        Self {
            told: Told::Sentence(words.into()),
            owner: None,
            path: Vec::new(),
        }
    }

    fn of_type(found: impl Into<String>, node: &Node) -> Self {
        Self {
            told: Told::Type {
                found: found.into(),
                wanted: go_type(node),
            },
            owner: None,
            path: Vec::new(),
        }
    }

    /// The decoder names the struct whose field it was in, and the path without indices and
    /// without keys below that field.
    fn words(self) -> String {
        match (self.told, self.owner) {
            (Told::Sentence(words), _) => words,
            (Told::Type { found, wanted }, None) => {
                format!("json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            (Told::Type { found, wanted }, Some(owner)) => {
                let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
                let path = path.join(".");
                format!(
                    "json: cannot unmarshal {found} into Go struct field {owner}.{path} of type \
                     {wanted}"
                )
            }
        }
    }
}

struct Walk {
    depth: usize,
    found: Decoded,
}

impl Walk {
    fn node(&mut self, node: &Node, value: &mut Value) -> Result<(), Wrong> {
        if self.depth > DEPTH_MAX {
            return Err(Wrong::sentence("exceeded max depth"));
        }
        match (&node.shape, &mut *value) {
            (Shape::Any | Shape::Deduced, _) | (Shape::AnyObject(_), Value::Object(_)) => Ok(()),
            (Shape::Struct(named), Value::Object(fields)) => self.structure(named, fields),
            (Shape::Map(item), Value::Object(entries)) => {
                for (key, entry) in entries.iter_mut() {
                    let mark = self.found.unknown_fields.len();
                    self.inner(item, entry)?;
                    self.prefix(mark, key);
                }
                Ok(())
            }
            (Shape::List(item), Value::Array(items)) => {
                for (index, entry) in items.iter_mut().enumerate() {
                    let mark = self.found.unknown_fields.len();
                    self.inner(item, entry)?;
                    if self.found.unknown_fields.len() > mark {
                        self.prefix(mark, &format!("[{index}]"));
                    }
                }
                Ok(())
            }
            (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => Ok(()),
            (Shape::String(form), Value::String(text)) => {
                if let Some(stored) = string(*form, text).map_err(Wrong::sentence)? {
                    *text = stored;
                }
                Ok(())
            }
            (Shape::Integer(wide), Value::Number(number)) => match number.as_i64() {
                Some(n) if *wide || i32::try_from(n).is_ok() => Ok(()),
                _ => Err(Wrong::of_type(format!("number {number}"), node)),
            },
            (Shape::IntOrString, _) => int_or_string(value).map_err(Wrong::sentence),
            (Shape::Quantity, _) => {
                let amount = Quantity::from_value(value);
                let amount = amount.map_err(|e| Wrong::sentence(e.to_string()))?;
                *value = Value::String(amount.to_string());
                Ok(())
            }
            (_, other) => Err(Wrong::of_type(kind_of(other), node)),
        }
    }

    /// An item of a list or of a map.
    fn inner(&mut self, node: &Node, value: &mut Value) -> Result<(), Wrong> {
        if value.is_null() {
            *value = zero(&node.shape);
            return Ok(());
        }
        self.depth += 1;
        self.node(node, value)?;
        self.depth -= 1;
        Ok(())
    }

    fn structure(
        &mut self,
        named: &StructRef,
        fields: &mut Map<String, Value>,
    ) -> Result<(), Wrong> {
        let body = named.body();
        let mut wrong = None;
        fields.retain(|name, value| {
            if wrong.is_some() {
                return true;
            }
            let Some(node) = body.field(name) else {
                if self.found.unknown_fields.len() < UNKNOWN_MAX {
                    self.found.unknown_fields.push(name.clone());
                }
                return false;
            };
            if !value.is_null() {
                let mark = self.found.unknown_fields.len();
                self.depth += 1;
                if let Err(mut error) = self.node(node, value) {
                    error
                        .owner
                        .get_or_insert_with(|| named.short_name().to_owned());
                    error.path.push(name.clone());
                    wrong = Some(error);
                    return true;
                }
                self.depth -= 1;
                self.prefix(mark, name);
            }
            !is_left_out(body, name, node, value)
        });
        wrong.map_or(Ok(()), Err)
    }

    /// Puts a step before the paths that were found below it.
    fn prefix(&mut self, mark: usize, step: &str) {
        for path in self.found.unknown_fields.iter_mut().skip(mark) {
            let dot = if path.starts_with('[') { "" } else { "." };
            *path = format!("{step}{dot}{path}");
        }
    }
}

fn int_or_string(value: &Value) -> Result<(), String> {
    let told = match value {
        Value::String(_) => return Ok(()),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {
            return Ok(());
        }
        Value::Number(number) => format!("number {number}"),
        other => kind_of(other).to_owned(),
    };
    Err(format!(
        "json: cannot unmarshal {told} into Go value of type int32"
    ))
}

/// Kubernetes' types leave out what is empty: absent and null are the same, and so is an empty
/// list or map, unless the field must be given. Many fields leave out every zero.
fn is_left_out(body: &Struct, name: &str, node: &Node, value: &Value) -> bool {
    match (&node.shape, value) {
        (Shape::List(_), Value::Array(items)) => items.is_empty() && !body.requires(name),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty() && !body.requires(name),
        (Shape::Any | Shape::Deduced, _) => false,
        _ if value.is_null() => true,
        _ if !node.leaves_out_zero => false,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::Bool(is)) => !is,
        _ => false,
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
fn string(form: Form, text: &str) -> Result<Option<String>, String> {
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
                Err(error) => Err(format!(
                    "illegal base64 data at input byte {}",
                    offset(&error, clean.len())
                )),
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
) -> Result<String, String> {
    match time::parse(text) {
        Some(time) => Ok(write(time)),
        None => Err(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
        )),
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
        Shape::Any | Shape::Deduced => "interface {}".to_owned(),
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
