//! Values of CEL: what they are equal to, how they compare, how large they are. Must not know
//! expressions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::format::Format;
use super::instant::{FIRST_SECOND, Instant};
use super::semver::Semver;
use super::url::Url;
use crate::meta::quantity::Quantity;

/// Most steps that comparing and walking nested values may take in one evaluation. Nesting shares
/// its parts, so a small expression can name a value of any unfolded size.
pub(super) const MAX_WORK: u64 = 20_000_000;
/// Most elements of a list that an expression makes.
pub(super) const MAX_ELEMENTS: usize = 2_000_000;
/// Longest string (bytes) that an expression makes.
pub(super) const MAX_STRING: usize = 32 << 20;

/// Why an evaluation gives no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error of the expression.
    Error(String),
    /// The values do not fit the function; whoever calls it knows its name.
    Unfit,
    /// A limit was reached.
    Cancelled,
}

impl Failure {
    /// An error.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Error(message.into())
    }

    /// No function takes such values.
    pub fn no_overload() -> Self {
        Self::new("no such overload")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Failure::Error(message) => message,
            Failure::Unfit => "no such overload",
            Failure::Cancelled => "operation cancelled: actual cost limit exceeded",
        })
    }
}

/// What an evaluation gives.
pub(super) type Outcome = Result<Value, Failure>;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// a truth value
    Bool(bool),
    /// a number with sign
    Int(i64),
    /// a number without sign
    Uint(u64),
    /// a floating point number
    Double(f64),
    /// text
    String(Arc<str>),
    /// octets
    Bytes(Arc<[u8]>),
    /// a point in time
    Timestamp(Instant),
    /// nanoseconds
    Duration(i64),
    /// a list
    List(Arc<List>),
    /// a map, or an object by the escaped names of its fields
    Map(Arc<Map>),
    /// a type, by name
    Type(Arc<str>),
    /// an optional
    Optional(Option<Arc<Value>>),
    /// a quantity
    Quantity(Quantity),
    /// a URL
    Url(Arc<Url>),
    /// an IP address
    Ip(IpAddr),
    /// an address and the length of the network's prefix
    Cidr(IpAddr, u8),
    /// a named format
    Format(&'static Format),
    /// a semantic version
    Semver(Arc<Semver>),
    /// data that does not have the type it should; using it fails with these words
    Invalid(Arc<str>),
}

/// How a list's elements are identified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// By place.
    Plain,
    /// Each value once, in any order.
    Set,
    /// By the fields (escaped) that are keys.
    Map(Arc<[String]>),
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its elements.
    pub items: Vec<Value>,
    /// How they are identified.
    pub kind: ListKind,
}

/// A map; each key as it is looked up, as it was written, and its value.
#[derive(Clone, Debug, Default)]
pub struct Map(pub BTreeMap<Key, (Value, Value)>, pub Hidden);

/// Fields of an object that expressions do not see, but that tell whether objects are equal.
pub(super) type Hidden = Option<Arc<serde_json::Map<String, serde_json::Value>>>;

/// A map's key; numbers of all types are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// a truth value
    Bool(bool),
    /// a whole number
    Number(i128),
    /// text
    String(Arc<str>),
}

impl Map {
    /// How many entries there are, hidden ones too.
    pub fn len(&self) -> usize {
        self.0.len() + self.1.as_ref().map_or(0, |hidden| hidden.len())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.0.get(&key.key()?).map(|(_, value)| value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl Value {
    /// A list identified by place.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(List {
            items,
            kind: ListKind::Plain,
        }))
    }

    /// A list of texts.
    pub fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list(items.into_iter().map(|s| Self::from(s.as_ref())).collect())
    }

    /// An optional that holds a value.
    pub fn some(value: Value) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// As a map's key, if it can be one. A whole floating point number finds an integer's entry.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(i) => Key::Number(i128::from(*i)),
            Value::Uint(u) => Key::Number(i128::from(*u)),
            Value::Double(d) if d.fract() == 0.0 && d.abs() < 1e19 =>
            {
                #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
                Key::Number(*d as i128)
            }
            Value::String(s) => Key::String(s.clone()),
            _ => return None,
        })
    }

    /// The name of its type.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Url(_) => "kubernetes.URL",
            Value::Ip(_) => "net.IP",
            Value::Cidr(..) => "net.CIDR",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Invalid(_) => "error",
        }
    }

    /// The Go type that stands for it on Kubernetes, which some errors show.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Value::Null => "types.Null",
            Value::Bool(_) => "types.Bool",
            Value::Int(_) => "types.Int",
            Value::Uint(_) => "types.Uint",
            Value::Double(_) => "types.Double",
            Value::String(_) => "types.String",
            Value::Bytes(_) => "types.Bytes",
            Value::Timestamp(_) => "types.Timestamp",
            Value::Duration(_) => "types.Duration",
            Value::List(_) => "*types.baseList",
            Value::Map(_) => "*types.baseMap",
            Value::Type(_) => "*types.Type",
            Value::Optional(_) => "*types.Optional",
            Value::Quantity(_) => "cel.Quantity",
            Value::Url(_) => "cel.URL",
            Value::Ip(_) => "cel.IP",
            Value::Cidr(..) => "cel.CIDR",
            Value::Format(_) => "cel.Format",
            Value::Semver(_) => "cel.Semver",
            Value::Invalid(_) => "*types.Err",
        }
    }

    /// Whether something can be added to it.
    pub(super) fn is_addable(&self) -> bool {
        matches!(
            self,
            Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::String(_)
                | Value::Bytes(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
                | Value::List(_)
        )
    }

    /// Whether values of its type have an order.
    pub(super) fn is_comparable(&self) -> bool {
        matches!(
            self,
            Value::Bool(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::String(_)
                | Value::Bytes(_)
                | Value::Timestamp(_)
                | Value::Duration(_)
        )
    }

    /// What the costs of functions are counted by.
    pub fn size(&self) -> u64 {
        let count = match self {
            Value::String(s) => s.chars().count(),
            Value::Bytes(b) => b.len(),
            Value::List(list) => list.items.len(),
            Value::Map(map) => map.len(),
            Value::Ip(IpAddr::V4(_)) => 4,
            Value::Ip(IpAddr::V6(_)) => 16,
            Value::Cidr(_, bits) => usize::from(*bits).div_ceil(8),
            Value::Optional(Some(inner)) => return inner.size(),
            _ => 1,
        };
        count as u64
    }

    /// Whether it is what its type starts with (`0`, `''`, `[]`, `null`).
    pub fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Int(i) => *i == 0,
            Value::Uint(u) => *u == 0,
            Value::Double(d) => *d == 0.0,
            Value::Duration(d) => *d == 0,
            Value::String(s) => s.is_empty(),
            Value::Bytes(b) => b.is_empty(),
            Value::List(list) => list.items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Timestamp(at) => at.second() == FIRST_SECOND,
            Value::Optional(inner) => inner.is_none(),
            _ => false,
        }
    }
}

/// Counts the steps of walking values.
#[derive(Debug, Default)]
pub struct Work(u64);

impl Work {
    /// Counts steps; fails past the limit.
    pub fn step(&mut self, steps: u64) -> Result<(), Failure> {
        self.0 = self.0.saturating_add(steps);
        if self.0 > MAX_WORK {
            return Err(Failure::Cancelled);
        }
        Ok(())
    }
}

/// Whether two values are equal. Values of different types are not, but numbers compare by value.
pub fn equal(a: &Value, b: &Value, work: &mut Work) -> Result<bool, Failure> {
    work.step(1)?;
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Quantity(a), Value::Quantity(b)) => a == b,
        (Value::Url(a), Value::Url(b)) => a.text() == b.text(),
        (Value::Ip(a), Value::Ip(b)) => a == b,
        (Value::Cidr(a, an), Value::Cidr(b, bn)) => a == b && an == bn,
        (Value::Format(a), Value::Format(b)) => a.name == b.name,
        (Value::Semver(a), Value::Semver(b)) => a.cmp_version(b) == Ordering::Equal,
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => equal(a, b, work)?,
        (Value::List(a), Value::List(b)) => equal_lists(a, b, work)?,
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (name, value) in a.1.iter().flat_map(|hidden| hidden.iter()) {
                let other = b.1.as_ref().and_then(|hidden| hidden.get(name));
                if other.is_some_and(|other| other != value) {
                    return Ok(false);
                }
            }
            for (key, (_, value)) in &a.0 {
                match b.0.get(key) {
                    Some((_, other)) if equal(value, other, work)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Invalid(why), _) | (_, Value::Invalid(why)) => {
            return Err(Failure::new(why.as_ref()));
        }
        _ => numbers(a, b) == Some(Ordering::Equal),
    })
}

fn equal_lists(a: &List, b: &List, work: &mut Work) -> Result<bool, Failure> {
    if a.items.len() != b.items.len() {
        return Ok(false);
    }
    match &a.kind {
        ListKind::Plain => {
            for (a, b) in a.items.iter().zip(&b.items) {
                if !equal(a, b, work)? {
                    return Ok(false);
                }
            }
        }
        ListKind::Set => {
            for item in &b.items {
                if !contains(&a.items, item, work)? {
                    return Ok(false);
                }
            }
        }
        ListKind::Map(keys) => {
            for item in &b.items {
                let place = keyed_place(&a.items, item, keys, work)?;
                match place.and_then(|at| a.items.get(at)) {
                    Some(found) if equal(found, item, work)? => {}
                    _ => return Ok(false),
                }
            }
        }
    }
    Ok(true)
}

/// Whether a list has an element.
pub(super) fn contains(items: &[Value], item: &Value, work: &mut Work) -> Result<bool, Failure> {
    for other in items {
        if equal(other, item, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the element with the same keys is.
fn keyed_place(
    items: &[Value],
    item: &Value,
    keys: &[String],
    work: &mut Work,
) -> Result<Option<usize>, Failure> {
    let Value::Map(wanted) = item else {
        return Ok(None);
    };
    'items: for (at, other) in items.iter().enumerate() {
        let Value::Map(other) = other else {
            continue;
        };
        for key in keys {
            let key = Key::String(key.as_str().into());
            let same = match (other.0.get(&key), wanted.0.get(&key)) {
                (Some((_, a)), Some((_, b))) => equal(a, b, work)?,
                (None, None) => true,
                _ => false,
            };
            if !same {
                continue 'items;
            }
        }
        return Ok(Some(at));
    }
    Ok(None)
}

/// `a + b`: joined, or merged where the first list has sets' or maps' ways.
pub(super) fn concat(a: &Arc<List>, b: &Arc<List>, work: &mut Work) -> Outcome {
    if a.items.len() + b.items.len() > MAX_ELEMENTS {
        return Err(Failure::Cancelled);
    }
    work.step((a.items.len() + b.items.len()) as u64)?;
    let mut items = a.items.clone();
    for item in &b.items {
        match &a.kind {
            ListKind::Plain => items.push(item.clone()),
            ListKind::Set => {
                if !contains(&items, item, work)? {
                    items.push(item.clone());
                }
            }
            ListKind::Map(keys) => match keyed_place(&items, item, keys, work)? {
                Some(at) => {
                    if let Some(slot) = items.get_mut(at) {
                        *slot = item.clone();
                    }
                }
                None => items.push(item.clone()),
            },
        }
    }
    Ok(Value::List(Arc::new(List {
        items,
        kind: a.kind.clone(),
    })))
}

fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    fn whole(value: &Value) -> Option<i128> {
        match value {
            Value::Int(i) => Some(i128::from(*i)),
            Value::Uint(u) => Some(i128::from(*u)),
            _ => None,
        }
    }
    // As floating point numbers, whatever that loses: so does Kubernetes.
    #[allow(clippy::cast_precision_loss, reason = "as the comparison is defined")]
    fn against(whole: i128, double: f64) -> Option<Ordering> {
        (whole as f64).partial_cmp(&double)
    }
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), b) => against(whole(b)?, *a).map(Ordering::reverse),
        (a, Value::Double(b)) => against(whole(a)?, *b),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

/// How two values are ordered.
pub(super) fn compare(a: &Value, b: &Value) -> Result<Ordering, Failure> {
    let nan = |v: &Value| matches!(v, Value::Double(d) if d.is_nan());
    if nan(a) || nan(b) {
        return Err(Failure::new("NaN values cannot be ordered"));
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a.nanos().cmp(&b.nanos())),
        (Value::Duration(a), Value::Duration(b)) => Ok(a.cmp(b)),
        (Value::Invalid(why), _) | (_, Value::Invalid(why)) => Err(Failure::new(why.as_ref())),
        _ => numbers(a, b).ok_or_else(Failure::no_overload),
    }
}
