//! Messages into values. What the table does not know is passed over, as every reader of this form
//! does. Must not know any kind.

use super::table::{Field, Fields, Form, Kind, Many, Message, Other, Table, Zero};
use super::{MAGIC, envelope};
use crate::meta::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf as _;
use jiff::Timestamp;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use serde_json::{Map, Number, Value};

/// Messages in messages. A schema of a custom resource is the deepest that is real.
const DEPTH_MAX: usize = 100;

/// Why bytes are no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing was sent.
    #[error("empty data")]
    Empty,
    /// Some other form.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Magic,
    /// Nothing says what it is.
    #[error("Object 'Kind' is missing in the envelope")]
    NoKind,
    /// The kind is in no table.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind {
        /// What the envelope says.
        api_version: String,
        /// What the envelope says.
        kind: String,
    },
    /// The bytes end within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// They are no fields.
    #[error("proto: {0}")]
    Wire(#[from] prost::DecodeError),
    /// A field of another type.
    #[error("proto: wrong wireType = {found} for field {field}")]
    WireType {
        /// The innermost field.
        field: &'static str,
        /// As it is numbered on the wire.
        found: u8,
    },
    /// A string that is none, or bytes in place of JSON.
    #[error("proto: field {0} contains invalid UTF-8 or JSON")]
    Content(&'static str),
    /// See `DEPTH_MAX`.
    #[error("proto: exceeded max depth of {DEPTH_MAX}")]
    Depth,
}

/// Reads a whole body.
pub(super) fn body(table: &Table, bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let envelope = bytes.strip_prefix(MAGIC).ok_or(DecodeError::Magic)?;
    Reader { table }.envelope(envelope, 0)
}

#[derive(Clone, Copy)]
struct Reader<'t> {
    table: &'t Table,
}

/// One field as it stands on the wire.
enum Sent<'b> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'b [u8]),
}

impl Sent<'_> {
    fn wire_type(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
        }
    }
}

/// Takes the next field; those of types that nobody uses are passed over.
fn next<'b>(buf: &mut &'b [u8]) -> Result<Option<(u32, Sent<'b>)>, DecodeError> {
    while !buf.is_empty() {
        let (number, wire_type) = decode_key(buf)?;
        let sent = match wire_type {
            WireType::Varint => Sent::Varint(decode_varint(buf)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = buf.split_first_chunk().ok_or(DecodeError::Truncated)?;
                *buf = rest;
                Sent::Fixed64(*bytes)
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(buf)?).unwrap_or(usize::MAX);
                let (bytes, rest) = buf.split_at_checked(length).ok_or(DecodeError::Truncated)?;
                *buf = rest;
                Sent::Bytes(bytes)
            }
            other => {
                skip_field(other, number, buf, DecodeContext::default())?;
                continue;
            }
        };
        return Ok(Some((number, sent)));
    }
    Ok(None)
}

impl Reader<'_> {
    /// What the magic stands before: what it is, and the message.
    fn envelope(self, mut buf: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
        while let Some((number, sent)) = next(&mut buf)? {
            match (number, sent) {
                (envelope::TYPE_META, Sent::Bytes(mut meta)) => {
                    while let Some((number, sent)) = next(&mut meta)? {
                        match number {
                            envelope::API_VERSION => api_version = text("apiVersion", &sent)?,
                            envelope::KIND => kind = text("kind", &sent)?,
                            _ => {}
                        }
                    }
                }
                (envelope::RAW, Sent::Bytes(bytes)) => raw = bytes,
                _ => {}
            }
        }
        if kind.is_empty() || api_version.is_empty() {
            return Err(DecodeError::NoKind);
        }
        let Some(Message {
            form: Form::Fields(fields),
        }) = self.table.of_kind(&api_version, &kind)
        else {
            return Err(DecodeError::Kind { api_version, kind });
        };
        let mut object = Map::new();
        self.fields(fields, raw, &mut object, depth)?;
        object.insert("apiVersion".to_owned(), Value::String(api_version));
        object.insert("kind".to_owned(), Value::String(kind));
        Ok(Value::Object(object))
    }

    fn fields(
        self,
        fields: &Fields,
        mut buf: &[u8],
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::Depth);
        }
        while let Some((number, sent)) = next(&mut buf)? {
            if let Some(field) = fields.numbered(number) {
                self.field(field, sent, object, depth)?;
                continue;
            }
            let inlined = fields.inlined.iter().find(|(own, _)| *own == number);
            if let Some((_, inner)) = inlined
                && let Some(Message {
                    form: Form::Fields(inner),
                }) = self.table.message(*inner)
                && let Sent::Bytes(bytes) = sent
            {
                self.fields(inner, bytes, object, depth + 1)?;
            }
        }
        Ok(())
    }

    fn field(
        self,
        field: &Field,
        sent: Sent<'_>,
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        match field.many {
            Many::One => self.one(field, &sent, object, depth),
            Many::List => {
                let list = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = list {
                    self.items(field, sent, items, depth)?;
                }
                Ok(())
            }
            Many::Map => {
                let map = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entries) = map {
                    self.entry(field, &sent, entries, depth)?;
                }
                Ok(())
            }
        }
    }

    fn one(
        self,
        field: &Field,
        sent: &Sent<'_>,
        object: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        // A message that is sent in two pieces is one.
        if let Kind::Message(position) = field.kind
            && let Some(Message {
                form: Form::Fields(fields),
            }) = self.table.message(position)
        {
            let mut inner = match object.remove(field.name) {
                Some(Value::Object(inner)) => inner,
                _ => Map::new(),
            };
            self.fields(fields, bytes_of(field, sent)?, &mut inner, depth + 1)?;
            object.insert(field.name.to_owned(), Value::Object(inner));
            return Ok(());
        }
        let value = self.value(field, sent, depth)?;
        let zero = match &value {
            Value::Null => true,
            _ if field.zero != Zero::Absent || matches!(field.kind, Kind::Message(_)) => false,
            Value::Bool(value) => !value,
            Value::Number(value) => value.as_f64() == Some(0.0),
            Value::String(value) => value.is_empty(),
            Value::Array(_) | Value::Object(_) => false,
        };
        if !zero {
            object.insert(field.name.to_owned(), value);
        }
        Ok(())
    }

    /// An item of a list, or several numbers packed together.
    fn items(
        self,
        field: &Field,
        sent: Sent<'_>,
        items: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        if let (Kind::Bool | Kind::Int32 | Kind::Int64, &Sent::Bytes(mut packed)) =
            (field.kind, &sent)
        {
            while packed.has_remaining() {
                let number = Sent::Varint(decode_varint(&mut packed)?);
                items.push(self.value(field, &number, depth)?);
            }
            return Ok(());
        }
        items.push(self.value(field, &sent, depth)?);
        Ok(())
    }

    fn entry(
        self,
        field: &Field,
        sent: &Sent<'_>,
        entries: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let mut buf = bytes_of(field, sent)?;
        let mut key = String::new();
        let mut value = None;
        while let Some((number, sent)) = next(&mut buf)? {
            match number {
                1 => key = text(field.name, &sent)?,
                2 => value = Some(self.value(field, &sent, depth)?),
                _ => {}
            }
        }
        let value = match (value, field.kind) {
            (Some(value), _) => value,
            (None, Kind::Message(_)) => self.value(field, &Sent::Bytes(&[]), depth)?,
            (None, _) => Value::String(String::new()),
        };
        entries.insert(key, value);
        Ok(())
    }

    /// One value.
    fn value(self, field: &Field, sent: &Sent<'_>, depth: usize) -> Result<Value, DecodeError> {
        match (field.kind, sent) {
            (Kind::Bool, Sent::Varint(value)) => Ok(Value::Bool(*value != 0)),
            (Kind::Int32 | Kind::Int64, Sent::Varint(value)) => Ok(integer(field.kind, *value)),
            (Kind::Double, Sent::Fixed64(bytes)) => Ok(number(f64::from_le_bytes(*bytes))),
            (Kind::String, sent) => text(field.name, sent).map(Value::String),
            (Kind::Bytes, sent) => Ok(Value::String(STANDARD.encode(bytes_of(field, sent)?))),
            (Kind::Message(position), sent) => {
                let bytes = bytes_of(field, sent)?;
                let Some(message) = self.table.message(position) else {
                    return Ok(Value::Null);
                };
                self.message(message, field.name, bytes, depth + 1)
            }
            (_, sent) => Err(wrong(field.name, sent)),
        }
    }

    fn message(
        self,
        message: &Message,
        name: &'static str,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        match &message.form {
            Form::Fields(fields) => {
                let mut object = Map::new();
                self.fields(fields, bytes, &mut object, depth)?;
                Ok(Value::Object(object))
            }
            Form::Raw if bytes_of_one(bytes)?.starts_with(MAGIC) => {
                let inner = bytes_of_one(bytes)?;
                if depth > DEPTH_MAX {
                    return Err(DecodeError::Depth);
                }
                self.envelope(inner.get(MAGIC.len()..).unwrap_or_default(), depth + 1)
            }
            Form::Or(other, inner) => self.or(*other, *inner, name, bytes, depth),
            form => simple(form, name, bytes),
        }
    }

    fn or(
        self,
        other: Other,
        inner: usize,
        name: &'static str,
        mut buf: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        let Some(message) = self.table.message(inner) else {
            return Ok(Value::Null);
        };
        let mut schema = None;
        let mut allows = false;
        let mut items = Vec::new();
        while let Some((number, sent)) = next(&mut buf)? {
            match (other, number, sent) {
                (Other::Bool, 1, Sent::Varint(value)) => allows = value != 0,
                (Other::Texts, 2, sent) => items.push(Value::String(text(name, &sent)?)),
                (Other::List, 2, Sent::Bytes(bytes)) => {
                    items.push(self.message(message, name, bytes, depth + 1)?);
                }
                (Other::Bool, 2, Sent::Bytes(bytes))
                | (Other::List | Other::Texts, 1, Sent::Bytes(bytes)) => {
                    schema = Some(self.message(message, name, bytes, depth + 1)?);
                }
                _ => {}
            }
        }
        Ok(match (schema, other) {
            (Some(schema), _) => schema,
            (None, Other::Bool) => Value::Bool(allows),
            (None, _) => Value::Array(items),
        })
    }
}

/// A message whose JSON is no object and that holds no other.
fn simple(form: &Form, name: &'static str, mut buf: &[u8]) -> Result<Value, DecodeError> {
    match form {
        Form::Items => {
            let mut items = Vec::new();
            while let Some((number, sent)) = next(&mut buf)? {
                if number == 1 {
                    items.push(Value::String(text(name, &sent)?));
                }
            }
            Ok(Value::Array(items))
        }
        Form::Text => {
            let bytes = bytes_of_one(buf)?;
            text(name, &Sent::Bytes(bytes)).map(Value::String)
        }
        Form::Time | Form::MicroTime => {
            if buf.is_empty() {
                return Ok(Value::Null);
            }
            let (seconds, nanos, _) = numbers(&mut buf)?;
            let nanos = i32::try_from(nanos).map_err(|_| DecodeError::Content(name))?;
            let time = Timestamp::new(seconds, nanos).map_err(|_| DecodeError::Content(name))?;
            Ok(Value::String(match form {
                Form::Time => time::rfc3339(time),
                _ => time::rfc3339_micro(time),
            }))
        }
        Form::IntOrString => {
            let (kind, int, string) = numbers(&mut buf)?;
            match kind {
                0 => Ok(integer(Kind::Int32, int.cast_unsigned())),
                _ => text(name, &Sent::Bytes(string)).map(Value::String),
            }
        }
        _ => match bytes_of_one(buf)? {
            [] => Ok(Value::Null),
            json => serde_json::from_slice(json).map_err(|_| DecodeError::Content(name)),
        },
    }
}

/// Two numbers and some bytes: fields 1, 2 and 3.
fn numbers<'b>(buf: &mut &'b [u8]) -> Result<(i64, i64, &'b [u8]), DecodeError> {
    let (mut first, mut second, mut third) = (0, 0, &[][..]);
    while let Some((number, sent)) = next(buf)? {
        match (number, sent) {
            (1, Sent::Varint(value)) => first = value.cast_signed(),
            (2, Sent::Varint(value)) => second = value.cast_signed(),
            (3, Sent::Bytes(bytes)) => third = bytes,
            _ => {}
        }
    }
    Ok((first, second, third))
}

/// The bytes of field 1.
fn bytes_of_one(mut buf: &[u8]) -> Result<&[u8], DecodeError> {
    let mut found = &[][..];
    while let Some((number, sent)) = next(&mut buf)? {
        if let (1, Sent::Bytes(bytes)) = (number, sent) {
            found = bytes;
        }
    }
    Ok(found)
}

fn bytes_of<'b>(field: &Field, sent: &Sent<'b>) -> Result<&'b [u8], DecodeError> {
    match sent {
        Sent::Bytes(bytes) => Ok(bytes),
        other => Err(wrong(field.name, other)),
    }
}

fn text(field: &'static str, sent: &Sent<'_>) -> Result<String, DecodeError> {
    let Sent::Bytes(bytes) = sent else {
        return Err(wrong(field, sent));
    };
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Content(field))?;
    Ok(text.to_owned())
}

fn wrong(field: &'static str, sent: &Sent<'_>) -> DecodeError {
    DecodeError::WireType {
        field,
        found: sent.wire_type(),
    }
}

/// An int32 is sent as 64 bits with its sign.
fn integer(kind: Kind, sent: u64) -> Value {
    let value = sent.cast_signed();
    match kind {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "every reader of this form keeps the lower 32 bits"
        )]
        Kind::Int32 => Value::Number(Number::from(value as i32)),
        _ => Value::Number(Number::from(value)),
    }
}

/// Whole numbers stand in JSON without a point.
fn number(value: f64) -> Value {
    /// Above it not every whole number is one.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        return Value::Number(Number::from(value as i64));
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
