//! How objects are shown: `-o FORMAT`. One file a form. Must not know verbs.

mod custom_columns;
mod table;

pub(crate) use table::{Table, TablePrinter};

use crate::cli::context::CliError;
use serde::Serialize;
use serde_json::{Value, json};
use std::str::FromStr;

/// `-o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The table with all its columns.
    Wide,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// `pod/x`.
    Name,
    /// `NAME:.path,NAME:.path`.
    CustomColumns(String),
    /// A JSONPath template.
    JsonPath(String),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, rest) = text.split_once('=').unwrap_or((text, ""));
        match (form, rest) {
            ("wide", _) => Ok(Self::Wide),
            ("yaml", _) => Ok(Self::Yaml),
            ("json", _) => Ok(Self::Json),
            ("name", _) => Ok(Self::Name),
            ("jsonpath", "") => Err("template format specified but no template given".to_owned()),
            ("jsonpath", template) => Ok(Self::JsonPath(template.to_owned())),
            ("custom-columns", "") => {
                Err("custom-columns format specified but no custom columns given".to_owned())
            }
            ("custom-columns", spec) => Ok(Self::CustomColumns(spec.to_owned())),
            _ => Err(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed \
                 formats are: custom-columns,json,jsonpath,name,wide,yaml"
            )),
        }
    }
}

impl Output {
    /// Shows one object whose `TYPE/NAME` is `shown`, without the last line end.
    pub(crate) fn one(&self, object: &Value, shown: &str) -> Result<String, CliError> {
        match self {
            Self::Name => Ok(shown.to_owned()),
            other => other.whole(object),
        }
    }

    /// Shows several objects: one alone as itself, others as a List.
    pub(crate) fn many(
        &self,
        mut objects: Vec<(String, Value)>,
        as_list: bool,
    ) -> Result<String, CliError> {
        if *self == Self::Name {
            let names: Vec<String> = objects.into_iter().map(|(shown, _)| shown).collect();
            return Ok(names.join("\n"));
        }
        match objects.pop() {
            Some((_, only)) if objects.is_empty() && !as_list => self.whole(&only),
            last => {
                let items: Vec<Value> = objects
                    .into_iter()
                    .chain(last)
                    .map(|(_, object)| object)
                    .collect();
                self.whole(&json!({
                    "apiVersion": "v1",
                    "kind": "List",
                    "metadata": { "resourceVersion": "" },
                    "items": items,
                }))
            }
        }
    }

    fn whole(&self, value: &Value) -> Result<String, CliError> {
        let text = match self {
            Self::Json => json_text(value)?,
            Self::Yaml | Self::Wide | Self::Name => {
                serde_yaml::to_string(value).map_err(CliError::new)?
            }
            Self::CustomColumns(spec) => custom_columns::show(spec, value)?,
            Self::JsonPath(template) => custom_columns::template(template, value)?,
        };
        Ok(text.trim_end_matches('\n').to_owned())
    }
}

/// JSON as kubectl indents it.
fn json_text(value: &Value) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, indent);
    value.serialize(&mut serializer).map_err(CliError::new)?;
    String::from_utf8(bytes).map_err(CliError::new)
}
