//! A Table of the server as text: columns padded to their widest cell and three spaces, as
//! kubectl's tab writer does. Must not know where the table comes from.

use crate::client::Query;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Spaces between columns.
const GAP: usize = 3;

/// A Table as servers send it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    pub(crate) rows: Vec<Row>,
    #[serde(default)]
    metadata: Metadata,
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
    priority: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    cells: Vec<Value>,
    #[serde(default)]
    object: Value,
}

/// What is shown of tables, and what has been shown already.
#[derive(Debug, Default)]
pub(crate) struct TablePrinter {
    pub(crate) wide: bool,
    pub(crate) with_namespace: bool,
    pub(crate) no_headers: bool,
    pub(crate) show_labels: bool,
    /// Put before names: `pod/`.
    pub(crate) prefix: String,
    /// Columns of a watch, told once, with the widths that were shown.
    columns: Option<Vec<Column>>,
    widths: Vec<usize>,
}

impl TablePrinter {
    /// The lines of `table`, headers first unless they have been shown.
    pub(crate) fn show(&mut self, table: &Table) -> String {
        let first = self.columns.is_none();
        let columns = self
            .columns
            .get_or_insert_with(|| table.column_definitions.clone())
            .clone();
        let mut lines: Vec<Vec<String>> = Vec::new();
        if first && !self.no_headers {
            lines.push(self.line(&columns, "NAMESPACE", "LABELS", |number| {
                columns
                    .get(number)
                    .map(|column| column.name.to_uppercase())
                    .unwrap_or_default()
            }));
        }
        for row in &table.rows {
            let text = |path: &[&str]| {
                path.iter()
                    .try_fold(&row.object, |value, name| value.get(name))
            };
            let namespace = text(&["metadata", "namespace"]).and_then(Value::as_str);
            let labels = labels(text(&["metadata", "labels"]));
            lines.push(
                self.line(&columns, namespace.unwrap_or_default(), &labels, |number| {
                    row.cells.get(number).map(cell).unwrap_or_default()
                }),
            );
        }
        self.pad(&lines)
    }

    fn line(
        &self,
        columns: &[Column],
        namespace: &str,
        labels: &str,
        cell: impl Fn(usize) -> String,
    ) -> Vec<String> {
        let mut line = Vec::new();
        if self.with_namespace {
            line.push(namespace.to_owned());
        }
        for (number, column) in columns.iter().enumerate() {
            if column.priority == 0 || self.wide {
                let text = cell(number);
                // A header is the column's own name in capitals; only cells carry the prefix.
                let is_header = text == column.name.to_uppercase();
                let prefix = if number == 0 && !is_header {
                    self.prefix.as_str()
                } else {
                    ""
                };
                line.push(format!("{prefix}{text}"));
            }
        }
        if self.show_labels {
            line.push(labels.to_owned());
        }
        line
    }

    fn pad(&mut self, lines: &[Vec<String>]) -> String {
        for line in lines {
            self.widths.resize(self.widths.len().max(line.len()), 0);
            for (width, text) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(text.chars().count());
            }
        }
        let mut out = String::new();
        for line in lines {
            let mut shown = String::new();
            for (number, (text, width)) in line.iter().zip(&self.widths).enumerate() {
                if number + 1 == line.len() {
                    shown.push_str(text);
                } else {
                    // Writing to a String cannot fail.
                    let _ = write!(shown, "{text:<0$}", width + GAP);
                }
            }
            out.push_str(shown.trim_end());
            out.push('\n');
        }
        out
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn labels(value: Option<&Value>) -> String {
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
            "rows": [{"cells": ["a", 1, "x"]}, {"cells": ["longer", 22, null]}],
        });
        let table: Table = serde_json::from_value(table).unwrap();
        let mut printer = TablePrinter::default();
        assert_eq!(
            printer.show(&table),
            "NAME     DATA\na        1\nlonger   22\n"
        );
        assert_eq!(
            printer.show(&table),
            "a        1\nlonger   22\n",
            "headers once"
        );
    }
}
