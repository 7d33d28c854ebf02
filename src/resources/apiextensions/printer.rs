//! The Table of a custom kind: its name and what its definition shows by JSON paths, or its age. Paths
//! are read when the first row is printed. Must not read the clock.
//! Kubernetes: apiextensions-apiserver `registry/customresource/tableconvertor`.

use crate::meta::jsonpath::JsonPath;
use crate::meta::{Object, time};
use crate::resources::columns;
use crate::resources::def::{Cells, Column, text};
use crate::resources::validate::At;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// A column by a path.
struct ByPath {
    kind: String,
    path: String,
    read: OnceLock<Option<JsonPath>>,
}

/// The columns that a version asks for, and what fills them.
pub(super) fn of(list: &At<'_, '_>) -> (Vec<Column>, Cells) {
    let mut shown = vec![columns::name_column()];
    let mut paths: Vec<ByPath> = Vec::new();
    if list.is_empty() {
        let words = columns::age_column().description;
        shown.push(column("Age", "date", "", words.into_owned(), 0));
        paths.push(by_path("date", ".metadata.creationTimestamp"));
    }
    for asked in list.items() {
        let path = asked.field("jsonPath").str();
        let words = match asked.field("description").str() {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            own => own.to_owned(),
        };
        let kind = asked.field("type").str();
        let priority = i32::try_from(asked.field("priority").number()).unwrap_or(0);
        let format = asked.field("format").str();
        shown.push(column(
            asked.field("name").str(),
            kind,
            format,
            words,
            priority,
        ));
        paths.push(by_path(kind, path));
    }
    let row = move |object: &Object, now: Timestamp| {
        let whole = Value::Object(object.fields().clone());
        let name = json!(object.name());
        let cells = paths.iter().map(|path| path.cell(&whole, now));
        std::iter::once(name).chain(cells).collect()
    };
    (shown, Cells::Made(Arc::new(row)))
}

fn column(name: &str, kind: &str, format: &str, words: String, priority: i32) -> Column {
    let mut column = Column::new("", "");
    column.name = Cow::Owned(name.to_owned());
    column.kind = Cow::Owned(kind.to_owned());
    column.format = if format.is_empty() {
        text("")
    } else {
        Cow::Owned(format.to_owned())
    };
    column.description = Cow::Owned(words);
    column.priority = priority;
    column
}

fn by_path(kind: &str, path: &str) -> ByPath {
    ByPath {
        kind: kind.to_owned(),
        path: path.to_owned(),
        read: OnceLock::new(),
    }
}

impl ByPath {
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let read = || JsonPath::parse(&format!("{{{}}}", self.path)).ok();
        let Some(path) = self.read.get_or_init(read) else {
            return Value::Null;
        };
        let found = path.find(object, true).unwrap_or_default();
        let Some(first) = found.first() else {
            return Value::Null;
        };
        match (self.kind.as_str(), first) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(text)) => json!(text),
            ("string", other) => json!(other.to_string()),
            ("integer", Value::Number(number)) => whole(number),
            ("number", number @ Value::Number(_)) => (*number).clone(),
            ("boolean", truth @ Value::Bool(_)) => (*truth).clone(),
            ("date", Value::String(at)) => match time::parse(at) {
                Some(_) => json!(time::age(at, now)),
                None => json!("<invalid>"),
            },
            _ => Value::Null,
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "an integer column shows the whole part of a number, as in Kubernetes"
)]
fn whole(number: &serde_json::Number) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => json!(whole),
        (None, Some(float)) => json!(float as i64),
        _ => Value::Null,
    }
}
