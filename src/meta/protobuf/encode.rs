//! Values into messages. A nested message is written in place and its length put before it
//! afterwards. Must not know any kind.

use super::table::{Field, Fields, Form, Kind, Many, Message, Other, Table};
use super::{MAGIC, envelope};
use crate::meta::time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

/// Nanoseconds of a second.
const NANOS: i128 = 1_000_000_000;

/// Why a value has no such form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The kind is in no table.
    #[error("no kind {kind:?} of version {api_version:?} has a protobuf form")]
    Kind {
        /// What the value says.
        api_version: String,
        /// What the value says.
        kind: String,
    },
    /// The value is not of the type that the table says.
    #[error("{field}: must be {wanted}")]
    Type {
        /// The innermost field.
        field: &'static str,
        /// What the table says.
        wanted: &'static str,
    },
}

/// Writes the whole body of `value`, an object with `apiVersion` and `kind`.
pub(super) fn body(table: &Table, value: &Value) -> Result<Vec<u8>, EncodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let message = table
        .of_kind(api_version, kind)
        .ok_or_else(|| EncodeError::Kind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })?;
    let mut writer = Writer {
        table,
        out: Vec::with_capacity(1024),
    };
    writer.out.extend_from_slice(MAGIC);
    let type_meta = writer.open(envelope::TYPE_META);
    writer.text(envelope::API_VERSION, api_version);
    writer.text(envelope::KIND, kind);
    writer.close(type_meta);
    let raw = writer.open(envelope::RAW);
    writer.message(message, "", value)?;
    writer.close(raw);
    Ok(writer.out)
}

struct Writer<'t> {
    table: &'t Table,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// Begins a nested message; `close` takes what this gives.
    fn open(&mut self, number: u32) -> usize {
        encode_key(number, WireType::LengthDelimited, &mut self.out);
        self.out.push(0);
        self.out.len()
    }

    /// Ends a nested message: its length takes the place that `open` left, and more if it needs it.
    fn close(&mut self, began: usize) {
        let length = self.out.len().saturating_sub(began);
        let place = began.saturating_sub(1);
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => {
                if let Some(byte) = self.out.get_mut(place) {
                    *byte = short;
                }
            }
            _ => {
                let mut bytes = Vec::with_capacity(10);
                encode_varint(length as u64, &mut bytes);
                drop(self.out.splice(place..began, bytes));
            }
        }
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        encode_key(number, WireType::LengthDelimited, &mut self.out);
        encode_varint(bytes.len() as u64, &mut self.out);
        self.out.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    fn varint(&mut self, number: u32, value: u64) {
        encode_key(number, WireType::Varint, &mut self.out);
        encode_varint(value, &mut self.out);
    }

    fn message(
        &mut self,
        message: &Message,
        field: &'static str,
        value: &Value,
    ) -> Result<(), EncodeError> {
        match &message.form {
            Form::Fields(fields) => {
                let object = value.as_object().ok_or(wrong(field, "an object"))?;
                self.fields(fields, object)
            }
            form => self.form(form, field, value),
        }
    }

    fn fields(&mut self, fields: &Fields, object: &Map<String, Value>) -> Result<(), EncodeError> {
        for (name, value) in object {
            // What is not a field here belongs to an inlined message, or is `kind`.
            if let Some(field) = fields.named(name)
                && !value.is_null()
            {
                self.field(field, value)?;
            }
        }
        for (number, inner) in &fields.inlined {
            let Some(Message {
                form: Form::Fields(inner),
            }) = self.table.message(*inner)
            else {
                continue;
            };
            let began = self.open(*number);
            self.fields(inner, object)?;
            self.close(began);
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value) -> Result<(), EncodeError> {
        match field.many {
            Many::One => self.one(field, field.number, value),
            Many::List => {
                let items = value.as_array().ok_or(wrong(field.name, "a list"))?;
                items
                    .iter()
                    .try_for_each(|item| self.one(field, field.number, item))
            }
            Many::Map => {
                let entries = value.as_object().ok_or(wrong(field.name, "a map"))?;
                for (key, value) in entries {
                    let began = self.open(field.number);
                    self.text(1, key);
                    self.one(field, 2, value)?;
                    self.close(began);
                }
                Ok(())
            }
        }
    }

    fn one(&mut self, field: &Field, number: u32, value: &Value) -> Result<(), EncodeError> {
        let name = field.name;
        match field.kind {
            Kind::Bool => {
                let value = value.as_bool().ok_or(wrong(name, "a boolean"))?;
                self.varint(number, u64::from(value));
            }
            Kind::Int32 | Kind::Int64 => {
                let value = value.as_i64().ok_or(wrong(name, "an integer"))?;
                self.varint(number, value.cast_unsigned());
            }
            Kind::Double => {
                let value = value.as_f64().ok_or(wrong(name, "a number"))?;
                encode_key(number, WireType::SixtyFourBit, &mut self.out);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::String => {
                let value = value.as_str().ok_or(wrong(name, "a string"))?;
                self.text(number, value);
            }
            Kind::Bytes => {
                let text = value.as_str().and_then(|text| STANDARD.decode(text).ok());
                self.bytes(number, &text.ok_or(wrong(name, "base64"))?);
            }
            Kind::Message(position) => {
                let Some(message) = self.table.message(position) else {
                    return Ok(());
                };
                let began = self.open(number);
                self.message(message, name, value)?;
                self.close(began);
            }
        }
        Ok(())
    }

    /// A message whose JSON is no object.
    fn form(&mut self, form: &Form, name: &'static str, value: &Value) -> Result<(), EncodeError> {
        match form {
            Form::Fields(_) => {}
            // An amount may stand as a number.
            Form::Text => match value {
                Value::String(text) => self.text(1, text),
                other => self.text(1, &other.to_string()),
            },
            Form::Json | Form::Raw => self.text(1, &value.to_string()),
            Form::Items => {
                let items = value.as_array().ok_or(wrong(name, "a list"))?;
                for item in items.iter().filter_map(Value::as_str) {
                    self.text(1, item);
                }
            }
            Form::Time | Form::MicroTime => {
                let time = value.as_str().and_then(time::parse);
                let time = time.ok_or(wrong(name, "a time"))?;
                // Seconds downwards, so that what is added to them is positive before 1970 too.
                let nanos = time.as_nanosecond();
                let second = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or_default();
                self.varint(1, second.cast_unsigned());
                // Both stand there even if zero: without them it is no time at all.
                let below = match form {
                    Form::MicroTime => nanos.rem_euclid(NANOS) / 1000 * 1000,
                    _ => 0,
                };
                self.varint(2, u64::try_from(below).unwrap_or_default());
            }
            Form::IntOrString => match value {
                Value::String(text) => {
                    self.varint(1, 1);
                    self.text(3, text);
                }
                other => {
                    let number = other.as_i64().ok_or(wrong(name, "a number or a string"))?;
                    self.varint(2, number.cast_unsigned());
                }
            },
            Form::Or(other, inner) => return self.or(*other, *inner, name, value),
        }
        Ok(())
    }

    fn or(
        &mut self,
        other: Other,
        inner: usize,
        name: &'static str,
        value: &Value,
    ) -> Result<(), EncodeError> {
        let Some(message) = self.table.message(inner) else {
            return Ok(());
        };
        let number = match (other, value) {
            (Other::Bool, Value::Bool(allows)) => {
                self.varint(1, u64::from(*allows));
                return Ok(());
            }
            (Other::Texts, Value::Array(items)) => {
                for item in items {
                    self.text(2, item.as_str().ok_or(wrong(name, "a string"))?);
                }
                return Ok(());
            }
            (Other::List, Value::Array(items)) => {
                for item in items {
                    let began = self.open(2);
                    self.message(message, name, item)?;
                    self.close(began);
                }
                return Ok(());
            }
            (Other::Bool, _) => {
                self.varint(1, 1);
                2
            }
            _ => 1,
        };
        let began = self.open(number);
        self.message(message, name, value)?;
        self.close(began);
        Ok(())
    }
}

fn wrong(field: &'static str, wanted: &'static str) -> EncodeError {
    EncodeError::Type { field, wanted }
}
