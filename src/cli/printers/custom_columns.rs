//! `-o custom-columns=NAME:.path,...` and `-o jsonpath=...`, for the paths that need no query:
//! fields, indexes, `[*]`. Must not know where objects come from.

use crate::cli::context::CliError;
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
        columns.push((name, steps(path)?));
    }
    let objects = match value.get("items").and_then(Value::as_array) {
        Some(items) if value.get("kind").and_then(Value::as_str) == Some("List") => items.clone(),
        _ => vec![value.clone()],
    };
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|(n, _)| (*n).to_owned()).collect()];
    for object in &objects {
        lines.push(
            columns
                .iter()
                .map(|(_, path)| joined(object, path, ",", "<none>"))
                .collect(),
        );
    }
    Ok(padded(&lines))
}

/// A template: text with `{.path}` in it.
pub(crate) fn template(template: &str, value: &Value) -> Result<String, CliError> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        out.push_str(text);
        let Some((inside, after)) = after.split_once('}') else {
            let what = format!("error parsing jsonpath {template}, unclosed action");
            return Err(CliError::new(what));
        };
        let literal = inside
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        match literal {
            Some(text) => out.push_str(&text.replace("\\n", "\n").replace("\\t", "\t")),
            None => out.push_str(&joined(value, &steps(inside)?, " ", "")),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

enum Step {
    Field(String),
    Index(i64),
    Each,
}

fn steps(path: &str) -> Result<Vec<Step>, CliError> {
    let wrong = || {
        CliError::new(format!(
            "error parsing jsonpath {path}: this form is not read"
        ))
    };
    let inner = path.trim().trim_start_matches('{').trim_end_matches('}');
    let mut chars = inner.trim_start_matches('$').chars().peekable();
    let mut steps = Vec::new();
    while let Some(next) = chars.next() {
        match next {
            '.' => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| !matches!(c, '.' | '[')) {
                    if c == '\\' {
                        name.extend(chars.next());
                    } else {
                        name.push(c);
                    }
                }
                match name.as_str() {
                    "" => return Err(wrong()),
                    "*" => steps.push(Step::Each),
                    _ => steps.push(Step::Field(name)),
                }
            }
            '[' => {
                let inside: String = std::iter::from_fn(|| chars.next_if(|c| *c != ']')).collect();
                chars.next().ok_or_else(wrong)?;
                let quoted = inside
                    .strip_prefix('\'')
                    .and_then(|text| text.strip_suffix('\''));
                steps.push(match (inside.as_str(), quoted) {
                    ("*", _) => Step::Each,
                    (_, Some(name)) => Step::Field(name.to_owned()),
                    (number, None) => Step::Index(number.parse().map_err(|_| wrong())?),
                });
            }
            _ => return Err(wrong()),
        }
    }
    Ok(steps)
}

fn find<'a>(value: &'a Value, path: &[Step]) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in path {
        found = found
            .into_iter()
            .flat_map(|value| match (step, value) {
                (Step::Field(name), value) => value.get(name).into_iter().collect::<Vec<_>>(),
                (Step::Index(number), Value::Array(list)) => {
                    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                    let number = if *number < 0 {
                        length + number
                    } else {
                        *number
                    };
                    usize::try_from(number)
                        .ok()
                        .and_then(|n| list.get(n))
                        .into_iter()
                        .collect()
                }
                (Step::Each, Value::Array(list)) => list.iter().collect(),
                (Step::Each, Value::Object(map)) => map.values().collect(),
                _ => Vec::new(),
            })
            .collect();
    }
    found
}

fn joined(value: &Value, path: &[Step], separator: &str, none: &str) -> String {
    let found = find(value, path);
    if found.is_empty() {
        return none.to_owned();
    }
    let texts: Vec<String> = found
        .into_iter()
        .map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    texts.join(separator)
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
