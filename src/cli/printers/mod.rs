//! How objects are shown: `-o FORMAT`. One file a form. Must not know verbs.

mod custom_columns;
pub(crate) mod go_json;
mod sort;
pub(crate) mod tab_writer;
mod table;

pub(crate) use sort::SortBy;
pub(crate) use table::{Table, TablePrinter};

use crate::cli::context::CliError;
use crate::meta::jsonpath::JsonPath;
use crate::meta::yaml;
use custom_columns::Columns;
use serde_json::{Value, json};

/// The flags that say how objects are shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct OutputArgs {
    /// Output format: json, yaml, name, jsonpath=..., and for get also wide, custom-columns=...
    #[arg(long, short, value_name = "FORMAT", global = true)]
    output: Option<String>,
    /// Keep the managedFields when printing objects in JSON or YAML format.
    #[arg(long, global = true)]
    show_managed_fields: bool,
}

/// The forms that show an object as it is.
const FORMS: [&str; 6] = [
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "name",
    "yaml",
];

impl OutputArgs {
    /// What `get` prints: any form.
    pub(crate) fn any(&self) -> Result<Option<Output>, CliError> {
        self.parse(&["custom-columns", "custom-columns-file", "wide"])
    }

    /// What the verbs that change something print: the object, or its name.
    pub(crate) fn object(&self) -> Result<Option<Output>, CliError> {
        self.parse(&[])
    }

    fn parse(&self, more: &[&str]) -> Result<Option<Output>, CliError> {
        let Some(text) = self.output.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let form = self.form(text)?.filter(|_| {
            let name = text.split_once('=').map_or(text, |(name, _)| name);
            FORMS.contains(&name) || more.contains(&name)
        });
        if let Some(form) = form {
            return Ok(Some(Output {
                form,
                show_managed_fields: self.show_managed_fields,
            }));
        }
        if text.starts_with("go-template") || text.starts_with("template") {
            let what = format!(
                "the output format {text:?} is not supported by wkube: use jsonpath, \
                 custom-columns or json"
            );
            return Err(CliError::new(what));
        }
        let mut allowed: Vec<&str> = FORMS.iter().chain(more).copied().collect();
        allowed.sort_unstable();
        Err(CliError::new(format!(
            "unable to match a printer suitable for the output format {text:?}, allowed formats \
             are: {}",
            allowed.join(",")
        )))
    }

    fn form(&self, text: &str) -> Result<Option<Form>, CliError> {
        let (name, rest) = text.split_once('=').unwrap_or((text, ""));
        let file = |what: &str| match rest {
            "" => Err(CliError::new(format!(
                "{what} format specified but no {} given",
                if what == "template" {
                    "template"
                } else {
                    "custom columns"
                }
            ))),
            path => std::fs::read_to_string(path)
                .map_err(|error| CliError::new(format!("error reading {path}: {error}"))),
        };
        let given = |what: &str| match rest {
            "" => file(what),
            text => Ok(text.to_owned()),
        };
        Ok(Some(match name {
            "wide" => Form::Wide,
            "yaml" => Form::Yaml,
            "json" => Form::Json,
            "name" => Form::Name,
            "jsonpath" => Form::JsonPath(template(&given("template")?)?),
            "jsonpath-file" => Form::JsonPath(template(&file("template")?)?),
            "jsonpath-as-json" => Form::JsonPathAsJson(template(&given("template")?)?),
            "custom-columns" => Form::Columns(Columns::of_spec(&given("custom-columns")?)?),
            "custom-columns-file" => Form::Columns(Columns::of_file(&file("custom-columns")?)?),
            _ => return Ok(None),
        }))
    }
}

fn template(text: &str) -> Result<JsonPath, CliError> {
    JsonPath::parse(text)
        .map_err(|error| CliError::new(format!("error parsing jsonpath {text}, {error}")))
}

/// `-o`.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    form: Form,
    show_managed_fields: bool,
}

#[derive(Clone, Debug)]
enum Form {
    /// The table with all its columns.
    Wide,
    Yaml,
    Json,
    /// `pod/x`.
    Name,
    /// `NAME:.path,NAME:.path`.
    Columns(Columns),
    JsonPath(JsonPath),
    JsonPathAsJson(JsonPath),
}

impl Output {
    /// Whether it is the table with all columns.
    pub(crate) fn is_wide(&self) -> bool {
        matches!(self.form, Form::Wide)
    }

    /// Whether only names are shown.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.form, Form::Name)
    }

    /// Whether it is a table of columns of one's own.
    pub(crate) fn is_columns(&self) -> bool {
        matches!(self.form, Form::Columns(_))
    }

    /// What stands between objects that are printed one after another.
    pub(crate) fn separator(&self) -> &'static str {
        if matches!(self.form, Form::Yaml) {
            "---\n"
        } else {
            ""
        }
    }

    /// One object whose `TYPE/NAME` is `shown`, as it is printed.
    pub(crate) fn one(&self, shown: &str, object: &Value) -> Result<String, CliError> {
        match &self.form {
            Form::Name => Ok(format!("{shown}\n")),
            Form::Columns(columns) => columns.show(std::slice::from_ref(object), true),
            _ => self.whole(object.clone()),
        }
    }

    /// The objects of a list, read at `revision` if they were one list.
    pub(crate) fn list(
        &self,
        objects: Vec<(String, Value)>,
        revision: &str,
        headers: bool,
    ) -> Result<String, CliError> {
        if self.is_name() {
            return Ok(objects.into_iter().map(|(name, _)| name + "\n").collect());
        }
        let items: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
        if let Form::Columns(columns) = &self.form {
            return columns.show(&items, headers);
        }
        self.whole(json!({
            "apiVersion": "v1",
            "kind": "List",
            "metadata": { "resourceVersion": revision },
            "items": items,
        }))
    }

    /// The objects that a verb has made; kubectl holds them in a List of another form.
    pub(crate) fn made(&self, mut objects: Vec<(String, Value)>) -> Result<String, CliError> {
        if objects.len() <= 1 || self.is_name() {
            let shown = objects
                .drain(..)
                .map(|(name, value)| self.one(&name, &value));
            return shown.collect();
        }
        let items = objects.into_iter().map(|(_, value)| self.cleaned(value));
        let items = Value::Array(items.collect());
        if matches!(self.form, Form::Json) {
            return Ok(format!(
                "{{\n    \"kind\": \"List\",\n    \"apiVersion\": \"v1\",\n    \"metadata\": \
                 {{}},\n    \"items\": {}\n}}\n",
                go_json::pretty_at(&items, 1)
            ));
        }
        self.whole(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn whole(&self, value: Value) -> Result<String, CliError> {
        let failed = |error| CliError::new(format!("error executing jsonpath: {error}"));
        Ok(match &self.form {
            Form::Json => go_json::pretty(&self.cleaned(value)) + "\n",
            Form::Yaml | Form::Wide | Form::Name | Form::Columns(_) => {
                yaml::text(&self.cleaned(value))
            }
            Form::JsonPath(path) => path.render(&value, true).map_err(failed)?,
            Form::JsonPathAsJson(path) => {
                let found = path.find(&value, true).map_err(failed)?;
                go_json::pretty(&Value::Array(found.into_iter().cloned().collect())) + "\n"
            }
        })
    }

    /// Without what people seldom look for.
    fn cleaned(&self, mut value: Value) -> Value {
        if !self.show_managed_fields {
            let items = value.get_mut("items").and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                forget_managers(item);
            }
            forget_managers(&mut value);
        }
        value
    }
}

fn forget_managers(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}
