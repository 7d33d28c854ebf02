//! Any kind, field by field. Kubernetes: kubectl's generic describer.

use super::text::{Text, at};
use serde_json::Value;

/// What has been said above the fields, or is not said at all.
const SKIPPED: [&str; 5] = [
    ".metadata.managedFields",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.labels",
    ".metadata.annotations",
];
/// Words that are written in capitals.
const ACRONYMS: [&str; 5] = ["API", "URL", "UID", "OSB", "GUID"];

pub(super) fn describe(object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    out.labels_and_annotations(object);
    fields(object, 0, "", out);
}

fn fields(value: &Value, level: usize, path: &str, out: &mut Text) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let title = title(name);
        match value {
            Value::Object(_) => {
                out.line(level, format!("{title}:"));
                fields(value, level + 1, &path, out);
            }
            Value::Array(items) => {
                out.line(level, format!("{title}:"));
                for item in items {
                    match item {
                        Value::Object(_) => fields(item, level + 1, &path, out),
                        other => out.line(level + 1, plain(other)),
                    }
                }
            }
            other => out.field(level, &title, plain(other)),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// `restartCount` as `Restart Count`, `podIPs` as `Pod I Ps`, as kubectl has it.
fn title(name: &str) -> String {
    if !name.chars().all(|c| c.is_alphabetic() || c == '-') {
        return name.to_owned();
    }
    let class = |c: char| match c {
        c if c.is_lowercase() => 0,
        c if c.is_uppercase() => 1,
        _ => 2,
    };
    let mut parts: Vec<String> = Vec::new();
    let mut last = None;
    for c in name.chars() {
        match parts.last_mut() {
            Some(part) if last == Some(class(c)) => part.push(c),
            _ => parts.push(c.to_string()),
        }
        last = Some(class(c));
    }
    // The last capital before small letters begins their word.
    for at in 0..parts.len().saturating_sub(1) {
        let begins = |part: Option<&String>, lower: bool| {
            let first = part.and_then(|part| part.chars().next());
            first.is_some_and(|c| {
                if lower {
                    c.is_lowercase()
                } else {
                    c.is_uppercase()
                }
            })
        };
        if begins(parts.get(at), false) && begins(parts.get(at + 1), true) {
            let capital = parts.get_mut(at).and_then(String::pop);
            if let (Some(capital), Some(word)) = (capital, parts.get_mut(at + 1)) {
                word.insert(0, capital);
            }
        }
    }
    let words = parts.into_iter().filter(|part| !part.is_empty());
    let words = words.map(|part| {
        let upper = part.to_uppercase();
        if ACRONYMS.contains(&upper.as_str()) {
            return upper;
        }
        let mut chars = part.chars();
        let first = chars.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(chars).collect()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_become_titles() {
        for (name, wanted) in [
            ("restartCount", "Restart Count"),
            ("apiVersion", "API Version"),
            ("uid", "UID"),
            ("podIP", "Pod IP"),
            ("PDFLoader", "PDF Loader"),
            ("f:metadata", "f:metadata"),
        ] {
            assert_eq!(title(name), wanted);
        }
    }
}
