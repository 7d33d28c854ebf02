//! Types of data that a schema declares: what CEL sees of it, how large it can be, and how JSON
//! becomes values of it. Must not know expressions, nor where schemas come from.
//!
//! Kubernetes: apiserver `pkg/cel/types.go`, `common/schemas.go`, `common/valuesunstructured.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::functions::{bytes_of_base64, loose_duration};
use super::instant::Instant;
use super::parser::is_reserved;
use super::types::{ObjectType, Type};
use super::value::{Key, List, ListKind, Map, Value};
use crate::meta::go_json::type_of;

/// The declared type of some data.
#[derive(Debug)]
pub struct DeclType {
    /// What it is.
    pub kind: Kind,
    /// Most characters, elements or entries; 0 where that means nothing.
    pub max_elements: u64,
    /// Fewest bytes of it as JSON.
    pub min_size: u64,
    /// Whether `null` is among its values.
    pub nullable: bool,
}

/// The kinds of declared types.
#[derive(Debug)]
pub enum Kind {
    /// An integer or a string.
    IntOrString,
    /// `boolean`
    Bool,
    /// `integer`
    Int,
    /// `number`
    Double,
    /// `string`
    String,
    /// `string` of format `byte`
    Bytes,
    /// `string` of format `duration`
    Duration,
    /// `string` of format `date`
    Date,
    /// `string` of format `date-time`
    DateTime,
    /// A list, and how its elements are identified.
    List(Arc<DeclType>, ListKind),
    /// A map from strings.
    Map(Arc<DeclType>),
    /// An object: by escaped name, the name in JSON and the type.
    Object(BTreeMap<String, (String, Arc<DeclType>)>),
}

impl DeclType {
    /// A type without limit of size.
    pub fn scalar(kind: Kind, min_size: u64) -> Self {
        Self {
            kind,
            max_elements: 0,
            min_size,
            nullable: false,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    /// The type one step down: a field's, or that of elements or values.
    pub(super) fn step(&self, name: &str) -> Option<&DeclType> {
        match (&self.kind, name) {
            (Kind::List(element, _) | Kind::Map(element), "@items" | "@values") => Some(element),
            (Kind::Object(fields), _) => fields.get(name).map(|(_, of)| of.as_ref()),
            _ => None,
        }
    }

    /// The type as CEL knows it; `name` is given to the object and, with more behind it, to the
    /// objects inside.
    pub fn cel_type(&self, name: &str) -> Type {
        match &self.kind {
            Kind::IntOrString => Type::Dyn,
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Double => Type::Double,
            Kind::String => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Duration => Type::Duration,
            Kind::Date | Kind::DateTime => Type::Timestamp,
            Kind::List(element, _) => Type::list(element.cel_type(&format!("{name}.@idx"))),
            Kind::Map(element) => {
                Type::map(Type::String, element.cel_type(&format!("{name}.@elem")))
            }
            Kind::Object(fields) => Type::Object(Arc::new(ObjectType {
                name: name.to_owned(),
                fields: fields
                    .iter()
                    .map(|(field, (_, of))| {
                        (field.clone(), of.cel_type(&format!("{name}.{field}")))
                    })
                    .collect(),
            })),
        }
    }

    /// Data as a value of this type. What does not fit becomes a value that fails when used.
    pub fn value(&self, data: &Json) -> Value {
        let invalid = |what: String| Value::Invalid(what.into());
        match (&self.kind, data) {
            (_, Json::Null) if self.nullable => Value::Null,
            (_, Json::Null) => {
                invalid("invalid data, got null for schema with nullable=false".to_owned())
            }
            (Kind::IntOrString, Json::String(s)) => Value::from(s.as_str()),
            (Kind::IntOrString | Kind::Int, Json::Number(n)) if integer(n).is_some() => {
                Value::Int(integer(n).unwrap_or_default())
            }
            (Kind::IntOrString, _) => invalid(
                "invalid data, expected XIntOrString value to be either a string or integer"
                    .to_owned(),
            ),
            (Kind::Bool, Json::Bool(b)) => Value::Bool(*b),
            (Kind::Double, Json::Number(n)) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
            (Kind::String, Json::String(s)) => Value::from(s.as_str()),
            (Kind::Bytes, Json::String(s)) => match bytes_of_base64(s) {
                Some(bytes) => Value::Bytes(bytes.into()),
                None => invalid(format!("Invalid byte formatted string {s}")),
            },
            (Kind::Duration, Json::String(s)) => match loose_duration(s) {
                Some(nanos) => Value::Duration(nanos),
                None => invalid(format!(
                    "Invalid duration {s}: unable to parse {s} as duration"
                )),
            },
            (Kind::Date, Json::String(s)) => match Instant::parse(&format!("{s}T00:00:00Z")) {
                Some(at) => Value::Timestamp(at),
                None => invalid(format!("Invalid date formatted string {s}")),
            },
            (Kind::DateTime, Json::String(s)) => match Instant::parse(&s.to_ascii_uppercase()) {
                Some(at) => Value::Timestamp(at),
                None => invalid(format!("Invalid date-time formatted string {s}")),
            },
            (Kind::List(element, kind), Json::Array(items)) => Value::List(Arc::new(List {
                items: items.iter().map(|item| element.value(item)).collect(),
                kind: kind.clone(),
            })),
            (Kind::Map(element), Json::Object(entries)) => {
                let pairs = entries.iter().map(|(k, v)| (k.as_str(), element.value(v)));
                map_of(pairs)
            }
            (Kind::Object(fields), Json::Object(entries)) => object_of(fields, entries),
            (kind @ (Kind::List(..) | Kind::Map(_) | Kind::Object(_)), _) => {
                invalid(format!("invalid data, expected {}", wanted(kind)))
            }
            (kind, other) => invalid(format!(
                "invalid data, expected {}, got {}",
                wanted(kind),
                type_of(other)
            )),
        }
    }
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Double => "float",
        Kind::List(..) => "an array for the provided schema with type=array",
        Kind::Map(_) | Kind::Object(_) => "a map for the provided schema with type=object",
        _ => "string",
    }
}

/// A whole number, also one that JSON writes with a point.
fn integer(number: &serde_json::Number) -> Option<i64> {
    if let Some(i) = number.as_i64() {
        return Some(i);
    }
    let d = number.as_f64()?;
    #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
    (d.fract() == 0.0 && d.abs() < 9.0e18).then_some(d as i64)
}

/// An object: a field that is null is as one that is not there; what has no type is hidden.
fn object_of(
    fields: &BTreeMap<String, (String, Arc<DeclType>)>,
    entries: &serde_json::Map<String, Json>,
) -> Value {
    let pairs = fields.iter().filter_map(|(name, (raw, of))| {
        let value = entries.get(raw).filter(|value| !value.is_null())?;
        Some((name.as_str(), of.value(value)))
    });
    let mut map = entries_of(pairs);
    if map.0.len() < entries.len() {
        let seen = |name: &str| {
            escape(name)
                .and_then(|escaped| fields.get(&escaped))
                .is_some_and(|(raw, _)| raw == name)
        };
        let hidden = entries
            .iter()
            .filter(|(name, value)| !seen(name) || value.is_null());
        map.1 = Some(Arc::new(
            hidden.map(|(k, v)| (k.clone(), v.clone())).collect(),
        ));
    }
    Value::Map(Arc::new(map))
}

fn map_of<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(Arc::new(entries_of(pairs)))
}

fn entries_of<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> Map {
    let mut map = Map::default();
    for (name, value) in pairs {
        let key: Arc<str> = name.into();
        map.0
            .insert(Key::String(key.clone()), (Value::String(key), value));
    }
    map
}

/// Data of which no type is declared: numbers are integers where they can be.
pub fn untyped(data: &Json) -> Value {
    match data {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(d)) => Value::Double(d),
            (None, None) => Value::Invalid("invalid number".into()),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => Value::list(items.iter().map(untyped).collect()),
        Json::Object(entries) => map_of(entries.iter().map(|(k, v)| (k.as_str(), untyped(v)))),
    }
}

/// The name by which expressions call a property, if it can be called at all.
/// Kubernetes: apiserver `pkg/cel/escaping.go`.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '_' if chars.peek() == Some(&'_') => {
                chars.next();
                out.push_str("__underscores__");
            }
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c.is_ascii_alphanumeric() || c == '_' => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}
