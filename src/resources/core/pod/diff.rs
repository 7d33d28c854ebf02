//! What differs between two values, for people: the lines that a refused update shows. Must not
//! know kinds.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Most lines of a difference that are shown.
const LINES_MAX: usize = 20;

/// `- path: old` and `+ path: new`, a line for each place.
pub(crate) fn of(old: &Value, new: &Value) -> String {
    let mut lines = Vec::new();
    walk("", old, new, &mut lines);
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    let mut text = lines.join("\n");
    if more > 0 {
        let _ = write!(text, "\n... {more} more lines");
    }
    text
}

fn walk(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                walk(
                    &format!("{path}{dot}{key}"),
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    lines,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                walk(
                    &format!("{path}[{index}]"),
                    a.get(index).unwrap_or(&Value::Null),
                    b.get(index).unwrap_or(&Value::Null),
                    lines,
                );
            }
        }
        _ => {
            for (sign, value) in [('-', old), ('+', new)] {
                if !value.is_null() {
                    lines.push(format!("  {sign} {path}: {value}"));
                }
            }
        }
    }
}
