//! The OpenAPI v2 document in gnostic's protobuf form, the only one that kubectl asks for first.
//! Written field by field from the JSON form. Must not know kinds.
//! Kubernetes: `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`, message
//! `openapi.v2.Document`.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

/// The media type of the form.
pub const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The bytes of a document that `v2::document` made.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, document, "swagger");
    if let Some(info) = document.get("info") {
        let mut inner = Message::default();
        inner.text(1, info, "title");
        inner.text(2, info, "version");
        message.message(2, &inner);
    }
    let mut paths = Message::default();
    for (path, item) in entries(document, "paths") {
        paths.named(2, path, &path_item(item));
    }
    message.message(8, &paths);
    let mut definitions = Message::default();
    for (name, schema) in entries(document, "definitions") {
        definitions.named(1, name, &self::schema(schema));
    }
    message.message(9, &definitions);
    message.bytes
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    for (number, method) in [
        (2, "get"),
        (3, "put"),
        (4, "post"),
        (5, "delete"),
        (6, "options"),
        (7, "head"),
        (8, "patch"),
    ] {
        if let Some(operation) = item.get(method) {
            message.message(number, &self::operation(operation));
        }
    }
    for parameter in list(item, "parameters") {
        message.message(9, &self::parameter(parameter));
    }
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, operation, "tags");
    message.text(3, operation, "description");
    message.text(5, operation, "operationId");
    message.texts(6, operation, "produces");
    message.texts(7, operation, "consumes");
    for parameter in list(operation, "parameters") {
        message.message(8, &self::parameter(parameter));
    }
    let mut responses = Message::default();
    for (code, answer) in entries(operation, "responses") {
        let mut response = Message::default();
        response.text(1, answer, "description");
        if let Some(schema) = answer.get("schema") {
            let mut item = Message::default();
            item.message(1, &self::schema(schema));
            response.message(2, &item);
        }
        let mut value = Message::default();
        value.message(1, &response);
        responses.named(1, code, &value);
    }
    message.message(9, &responses);
    message.texts(10, operation, "schemes");
    message.extensions(13, operation);
    message
}

/// `ParametersItem { Parameter { BodyParameter | NonBodyParameter { query | path } } }`.
fn parameter(parameter: &Value) -> Message {
    let place = parameter.get("in").and_then(Value::as_str);
    let mut inner = Message::default();
    let mut outer = Message::default();
    if place == Some("body") {
        inner.text(1, parameter, "description");
        inner.text(2, parameter, "name");
        inner.text(3, parameter, "in");
        inner.flag(4, parameter, "required");
        if let Some(schema) = parameter.get("schema") {
            inner.message(5, &self::schema(schema));
        }
        outer.message(1, &inner);
    } else {
        // The two differ only in a field that query parameters have more.
        let query = place == Some("query");
        let shift = u32::from(query);
        inner.flag(1, parameter, "required");
        inner.text(2, parameter, "in");
        inner.text(3, parameter, "description");
        inner.text(4, parameter, "name");
        inner.text(5 + shift, parameter, "type");
        inner.text(6 + shift, parameter, "format");
        inner.flag(19 + shift, parameter, "uniqueItems");
        let mut plain = Message::default();
        plain.message(if query { 3 } else { 4 }, &inner);
        outer.message(2, &plain);
    }
    let mut item = Message::default();
    item.message(1, &outer);
    item
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, schema, "$ref");
    message.text(2, schema, "format");
    message.text(4, schema, "description");
    if let Some(default) = schema.get("default") {
        message.message(5, &any(default));
    }
    message.texts(19, schema, "required");
    for value in list(schema, "enum") {
        message.message(20, &any(value));
    }
    if let Some(items) = schema.get("additionalProperties") {
        let mut item = Message::default();
        item.message(1, &self::schema(items));
        message.message(21, &item);
    }
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        let mut item = Message::default();
        item.string(1, kind);
        message.message(22, &item);
    }
    if let Some(items) = schema.get("items") {
        let mut item = Message::default();
        item.message(1, &self::schema(items));
        message.message(23, &item);
    }
    let mut properties = Message::default();
    for (name, property) in entries(schema, "properties") {
        properties.named(1, name, &self::schema(property));
    }
    if !properties.bytes.is_empty() {
        message.message(25, &properties);
    }
    message.extensions(31, schema);
    message
}

/// A value as YAML; JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.string(2, &value.to_string());
    message
}

fn entries<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let map: Option<&Map<String, Value>> = value.get(name).and_then(Value::as_object);
    map.into_iter().flatten()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// A protobuf message as it grows.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn field(&mut self, number: u32, content: &[u8]) {
        encode_key(number, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(content.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(content);
    }

    fn message(&mut self, number: u32, inner: &Self) {
        self.field(number, &inner.bytes);
    }

    fn string(&mut self, number: u32, text: &str) {
        self.field(number, text.as_bytes());
    }

    /// A string of `of`; nothing if it is absent or empty.
    fn text(&mut self, number: u32, of: &Value, name: &str) {
        match of.get(name).and_then(Value::as_str) {
            None | Some("") => {}
            Some(text) => self.string(number, text),
        }
    }

    fn texts(&mut self, number: u32, of: &Value, name: &str) {
        for text in list(of, name).filter_map(Value::as_str) {
            self.string(number, text);
        }
    }

    fn flag(&mut self, number: u32, of: &Value, name: &str) {
        if of.get(name) == Some(&Value::Bool(true)) {
            encode_key(number, WireType::Varint, &mut self.bytes);
            encode_varint(1, &mut self.bytes);
        }
    }

    /// An entry of a map: name and value.
    fn named(&mut self, number: u32, name: &str, value: &Self) {
        let mut entry = Self::default();
        entry.string(1, name);
        entry.message(2, value);
        self.message(number, &entry);
    }

    /// The `x-` fields of `of`.
    fn extensions(&mut self, number: u32, of: &Value) {
        let Some(map) = of.as_object() else { return };
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            self.named(number, name, &any(value));
        }
    }
}
