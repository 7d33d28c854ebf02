//! `-o custom-columns=NAME:.path,...` and `-o jsonpath=...`. Must not know where objects come from.

use crate::cli::context::CliError;
use crate::meta::jsonpath::JsonPath;
use serde_json::Value;

/// The table of columns for one object or a List.
pub(crate) fn show(spec: &str, value: &Value) -> Result<String, CliError> {
    let mut columns = Vec::new();
    for part in spec.split(',') {
        let Some((name, path)) = part.split_once(':') else {
            let what = format!(
                "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
            );
            return Err(CliError::new(what));
        };
        columns.push((name, JsonPath::parse_relaxed(path).map_err(CliError::new)?));
    }
    let objects = match value.get("items").and_then(Value::as_array) {
        Some(items) if value.get("kind").and_then(Value::as_str) == Some("List") => items.clone(),
        _ => vec![value.clone()],
    };
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|(n, _)| (*n).to_owned()).collect()];
    for object in &objects {
        let line: Result<_, _> = columns
            .iter()
            .map(|(_, path)| joined(object, path))
            .collect();
        lines.push(line?);
    }
    Ok(padded(&lines))
}

/// A JSONPath template.
pub(crate) fn template(template: &str, value: &Value) -> Result<String, CliError> {
    let path = JsonPath::parse(template).map_err(CliError::new)?;
    path.render(value, true).map_err(CliError::new)
}

fn joined(value: &Value, path: &JsonPath) -> Result<String, CliError> {
    let found = path.find(value, true).map_err(CliError::new)?;
    let texts: Vec<String> = found
        .into_iter()
        .map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    Ok(if texts.is_empty() {
        "<none>".to_owned()
    } else {
        texts.join(",")
    })
}

fn padded(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, text) in widths.iter_mut().zip(line) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut out = String::new();
    for line in lines {
        let mut shown = String::new();
        for (text, width) in line.iter().zip(&widths) {
            shown.push_str(&format!("{text:<0$}", width + 3));
        }
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_and_templates() {
        let pod = json!({"metadata": {"name": "a", "labels": {"x/y.z": "1"}},
                         "spec": {"containers": [{"name": "c"}, {"name": "d"}]}});
        let shown = |text: &str| template(text, &pod).unwrap();
        assert_eq!(shown("{.metadata.name}{\"\\n\"}"), "a\n");
        assert_eq!(shown("{.spec.containers[*].name}"), "c d");
        assert_eq!(shown("{.spec.containers[-1].name}"), "d");
        assert_eq!(shown("{.metadata.labels.x/y\\.z}"), "1");
        assert_eq!(
            show("N:.metadata.name,X:.spec.no", &pod).unwrap(),
            "N   X\na   <none>\n"
        );
        assert!(template("{.a", &pod).is_err());
    }
}
