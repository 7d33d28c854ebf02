//! `application/vnd.kubernetes.protobuf`: objects as messages in an envelope that says what they are.
//! Driven by a table of descriptors; the values are those that JSON would give. Must not know any
//! kind: `resources` brings the table.
//! Kubernetes: apimachinery `runtime/serializer/protobuf`, `runtime.Unknown`, `apis/meta/v1.WatchEvent`.

mod decode;
mod encode;
mod table;
#[cfg(test)]
mod tests;

pub use decode::DecodeError;
pub use encode::EncodeError;
pub use table::Table;

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use serde_json::Value;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The media type of a watch's frames.
pub const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The numbers of the envelope's fields.
mod envelope {
    /// Holds the two that follow.
    pub(super) const TYPE_META: u32 = 1;
    pub(super) const API_VERSION: u32 = 1;
    pub(super) const KIND: u32 = 2;
    /// The message.
    pub(super) const RAW: u32 = 2;
}

impl Table {
    /// The body of `value`, an object with `apiVersion` and `kind`.
    pub fn encode(&self, value: &Value) -> Result<Vec<u8>, EncodeError> {
        encode::body(self, value)
    }

    /// Reads a body. What the sender left at zero is absent, where zero means nothing.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
        decode::body(self, bytes)
    }
}

/// A frame of a watch around a body: four bytes of length, then the event.
pub fn watch_frame(kind: &str, body: &[u8]) -> Vec<u8> {
    const TYPE: u32 = 1;
    const OBJECT: u32 = 2;
    const RAW: u32 = 1;
    let inner = key_len(RAW) + encoded_len_varint(body.len() as u64) + body.len();
    let mut event = Vec::with_capacity(inner + kind.len() + 24);
    event.extend_from_slice(&[0; 4]);
    let delimited = WireType::LengthDelimited;
    encode_key(TYPE, delimited, &mut event);
    encode_varint(kind.len() as u64, &mut event);
    event.extend_from_slice(kind.as_bytes());
    encode_key(OBJECT, delimited, &mut event);
    encode_varint(inner as u64, &mut event);
    encode_key(RAW, delimited, &mut event);
    encode_varint(body.len() as u64, &mut event);
    event.extend_from_slice(body);
    let length = u32::try_from(event.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(head) = event.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    event
}
