//! `-o custom-columns=NAME:.path,...`. Must not know where objects come from.

use super::tab_writer::TABLE;
use crate::cli::context::CliError;
use crate::meta::jsonpath::JsonPath;
use serde_json::Value;

/// The columns that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Vec<(String, JsonPath)>);

impl Columns {
    /// Reads `NAME:.path,NAME:.path`.
    pub(super) fn of_spec(spec: &str) -> Result<Self, CliError> {
        let columns = spec.split(',').map(|part| {
            let (name, path) = part.split_once(':').ok_or_else(|| {
                CliError::new(format!(
                    "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                ))
            })?;
            column(name, path)
        });
        columns.collect::<Result<_, _>>().map(Self)
    }

    /// Reads a file: a line of names, a line of paths below them.
    pub(super) fn of_file(text: &str) -> Result<Self, CliError> {
        let mut lines = text.lines();
        let mut words = || lines.next().unwrap_or_default().split_whitespace();
        let (names, paths): (Vec<&str>, Vec<&str>) = (words().collect(), words().collect());
        if names.is_empty() || names.len() != paths.len() {
            let what = format!(
                "number of headers ({}) and field specifications ({}) don't match",
                names.len(),
                paths.len()
            );
            return Err(CliError::new(what));
        }
        let columns = names.into_iter().zip(paths);
        columns
            .map(|(name, path)| column(name, path))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The table of `objects`.
    pub(super) fn show(&self, objects: &[Value], headers: bool) -> Result<String, CliError> {
        let mut text = String::new();
        if headers {
            let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
            text = names.join("\t") + "\n";
        }
        for object in objects {
            let cells: Result<Vec<String>, _> =
                self.0.iter().map(|(_, path)| cell(object, path)).collect();
            text.push_str(&cells?.join("\t"));
            text.push('\n');
        }
        Ok(TABLE.pad(&text))
    }
}

fn column(name: &str, path: &str) -> Result<(String, JsonPath), CliError> {
    let path = JsonPath::parse_relaxed(path).map_err(CliError::new)?;
    Ok((name.to_owned(), path))
}

fn cell(value: &Value, path: &JsonPath) -> Result<String, CliError> {
    let found = path.find(value, true).map_err(CliError::new)?;
    let texts: Vec<String> = found.into_iter().map(go_text).collect();
    Ok(if texts.is_empty() {
        "<none>".to_owned()
    } else {
        texts.join(",")
    })
}

/// A value as Go prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_text(value)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_become_columns() {
        let pod = json!({"metadata": {"name": "long-name"}, "spec": {"a": [{"b": 1}]}});
        let shown = |spec: &str| {
            let columns = Columns::of_spec(spec)?;
            columns.show(std::slice::from_ref(&pod), true)
        };
        assert_eq!(
            shown("N:.metadata.name,X:.spec.no").unwrap(),
            "N           X\nlong-name   <none>\n"
        );
        assert_eq!(shown("A:spec.a").unwrap(), "A\n[map[b:1]]\n");
        assert!(shown("N").is_err());
        assert!(Columns::of_file("A B\n.a .b\n").is_ok() && Columns::of_file("A\n").is_err());
    }
}
