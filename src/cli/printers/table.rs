//! A Table of the server as text, as kubectl shows it. Must not know where the table comes from.

use super::tab_writer::TABLE;
use crate::client::Query;
use serde::Deserialize;
use serde_json::Value;

/// A Table as servers send it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    #[serde(default, deserialize_with = "or_null")]
    column_definitions: Vec<Column>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) rows: Vec<Row>,
    #[serde(default)]
    metadata: Metadata,
}

/// A list that may be null: the tables of a watch but the first have no columns.
fn or_null<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_token: String,
}

impl Table {
    /// The revision it was read at.
    pub(crate) fn revision(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Adds the rows of another table of the kind.
    pub(crate) fn extend(&mut self, other: Self) {
        if self.column_definitions.is_empty() {
            self.column_definitions = other.column_definitions;
        }
        self.rows.extend(other.rows);
    }

    /// The path of the next page, if there is one; `path` is that of the first.
    pub(crate) fn next_page(&self, path: &str) -> Option<String> {
        let token = &self.metadata.continue_token;
        (!token.is_empty())
            .then(|| format!("{path}&{}", Query::new().with("continue", token).as_str()))
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    cells: Vec<Value>,
    #[serde(default)]
    pub(crate) object: Value,
}

/// What is shown of tables, and what has been shown already.
#[derive(Debug, Default)]
pub(crate) struct TablePrinter {
    pub(crate) wide: bool,
    pub(crate) with_namespace: bool,
    pub(crate) no_headers: bool,
    pub(crate) show_labels: bool,
    /// Labels that have columns of their own.
    pub(crate) label_columns: Vec<String>,
    /// Put before names: `pod/`.
    pub(crate) prefix: String,
    /// Columns, told once: the tables of a watch need not repeat them.
    columns: Option<Vec<Column>>,
    widths: Vec<usize>,
}

impl TablePrinter {
    /// The lines of `table`, headers first unless they have been shown. No rows, no lines.
    pub(crate) fn show(&mut self, table: &Table) -> String {
        if table.rows.is_empty() {
            return String::new();
        }
        let first = self.columns.is_none();
        let columns = self
            .columns
            .get_or_insert_with(|| table.column_definitions.clone())
            .clone();
        let mut text = String::new();
        if first && !self.no_headers {
            let cells = columns.iter().map(|column| column.name.to_uppercase());
            let labels = self.label_columns.iter();
            let labels = labels.map(|label| {
                let name = label.rsplit('/').next().unwrap_or_default();
                name.to_uppercase()
            });
            let cells = self.line(&columns, "NAMESPACE", cells, labels, "LABELS");
            text.push_str(&cells);
        }
        for row in &table.rows {
            let metadata = row.object.get("metadata");
            let namespace = metadata.and_then(|m| m.get("namespace"));
            let labels = metadata.and_then(|m| m.get("labels"));
            let label = |name: &String| {
                let value = labels.and_then(|labels| labels.get(name));
                value.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let cells = columns.iter().enumerate().map(|(number, column)| {
                let text = row.cells.get(number).map(cell).unwrap_or_default();
                // A server that does not say which column is the name has it first.
                if column.format == "name" || (column.format.is_empty() && number == 0) {
                    format!("{}{text}", self.prefix)
                } else {
                    text
                }
            });
            let line = self.line(
                &columns,
                namespace.and_then(Value::as_str).unwrap_or_default(),
                cells,
                self.label_columns.iter().map(label),
                &all_labels(labels),
            );
            text.push_str(&line);
        }
        TABLE.pad_after(&text, &mut self.widths)
    }

    fn line(
        &self,
        columns: &[Column],
        namespace: &str,
        cells: impl Iterator<Item = String>,
        labels: impl Iterator<Item = String>,
        all_labels: &str,
    ) -> String {
        let mut line = Vec::new();
        if self.with_namespace {
            line.push(namespace.to_owned());
        }
        let shown = columns.iter().zip(cells);
        let shown = shown.filter(|(column, _)| column.priority == 0 || self.wide);
        line.extend(shown.map(|(_, cell)| cell));
        line.extend(labels);
        if self.show_labels {
            line.push(all_labels.to_owned());
        }
        line.join("\t") + "\n"
    }
}

/// A cell on one line, without what would steer a terminal.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let line = text.split(['\n', '\r', '\u{c}']).next().unwrap_or_default();
            let more = if line.len() < text.len() { "..." } else { "" };
            format!("{}{more}", line.replace('\u{1b}', "^["))
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn all_labels(value: Option<&Value>) -> String {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_as_kubectl_pads_them() {
        let table = serde_json::json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Data"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["a", 1, "x"]}, {"cells": ["longer", "2\n2", null]}],
        });
        let table: Table = serde_json::from_value(table).unwrap();
        let mut printer = TablePrinter::default();
        assert_eq!(
            printer.show(&table),
            "NAME     DATA\na        1\nlonger   2...\n"
        );
        assert_eq!(
            printer.show(&table),
            "a        1\nlonger   2...\n",
            "headers once"
        );
        let next = serde_json::json!({"columnDefinitions": null, "rows": [{"cells": ["b", 3]}]});
        let next: Table = serde_json::from_value(next).unwrap();
        assert_eq!(printer.show(&next), "b        3\n", "a watch's next table");
    }
}
