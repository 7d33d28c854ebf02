//! JSON as Go writes it: sorted keys, `<`, `>` and `&` escaped, numbers in Go's forms. Compact, as
//! it stands in annotations and patches, or indented by four. Must not know objects.

use crate::meta::go_json::exponent;
use serde_json::{Number, Value};
use std::fmt::Write as _;

/// On one line, without a line end.
pub(crate) fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, None);
    out
}

/// Indented by four spaces, without a line end.
pub(crate) fn pretty(value: &Value) -> String {
    pretty_at(value, 0)
}

/// Like `pretty`, within something that is `level` levels deep.
pub(crate) fn pretty_at(value: &Value, level: usize) -> String {
    let mut out = String::new();
    write(&mut out, value, Some(level));
    out
}

fn line(out: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', level * 4));
    }
}

fn write(out: &mut String, value: &Value, level: Option<usize>) {
    let inner = level.map(|level| level + 1);
    match value {
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(map) => {
            out.push('{');
            for (number, (key, value)) in map.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                line(out, inner);
                string(out, key);
                out.push_str(if level.is_some() { ": " } else { ":" });
                write(out, value, inner);
            }
            line(out, level);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (number, value) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                line(out, inner);
                write(out, value, inner);
            }
            line(out, level);
            out.push(']');
        }
        Value::String(text) => string(out, text),
        Value::Number(number) => out.push_str(&self::number(number)),
        other => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{other}");
        }
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number as Go's JSON encoder writes it.
pub(crate) fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let size = float.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                exponent(float, 1)
            } else {
                format!("{float}")
            }
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_go_writes_it() {
        let value = json!({"b": [1, {"c": "<&>\u{1}\n"}], "a": {}, "e": [], "f": 1.0, "g": 1e21});
        assert_eq!(
            compact(&value),
            r#"{"a":{},"b":[1,{"c":"\u003c\u0026\u003e\u0001\n"}],"e":[],"f":1,"g":1e+21}"#
        );
        assert_eq!(
            pretty(&json!({"a": [1]})),
            "{\n    \"a\": [\n        1\n    ]\n}"
        );
        assert_eq!(
            compact(&json!([0.5, 1e-7, 1.5e-10, 123_456_789.25])),
            "[0.5,1e-7,1.5e-10,123456789.25]"
        );
    }
}
