//! What Go's JSON decoder says of text that is no JSON, of which Go type a value is that it read, and
//! how Go writes an exponent: clients see these words in a Status. Must not know what was to be read. Kubernetes: sigs.k8s.io/json, whose scanner is Go's `encoding/json`.

use serde_json::error::Category;
use serde_json::{Number, Value};

/// The Go type of a value of no declared type, as `%T` prints it.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A text as Go's `%q` prints it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' | '"' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            '\0'..='\u{7f}' => out.push_str(&format!("\\x{code:02x}")),
            // A mark is printed as it is, although Rust escapes it.
            _ if c.is_alphanumeric() || c.escape_debug().count() == 1 => out.push(c),
            '\u{80}'..='\u{ffff}' => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out.push('"');
    out
}

/// `1.5e+21`; the exponent has at least `digits` digits, and two where it is positive.
pub fn exponent(float: f64, digits: usize) -> String {
    let text = format!("{float:e}");
    let (number, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(small) => format!("{number}e-{small:0>digits$}"),
        None => format!("{number}e+{exponent:0>2}"),
    }
}

/// A number as Go's `FormatFloat(.., 'g', -1, 64)` writes it, integers as they are.
pub fn number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let size = float.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        return exponent(float, 2);
    }
    format!("{float}")
}

/// The words for why `text` cannot be read.
pub fn words(text: &[u8], error: &serde_json::Error) -> String {
    let said = error.to_string();
    match error.classify() {
        Category::Eof => "unexpected end of JSON input".to_owned(),
        Category::Syntax => match (at(text, error), place(&said)) {
            (Some(c), Some(place)) => format!("invalid character {c} {place}"),
            _ => said,
        },
        Category::Data | Category::Io => said,
    }
}

/// The character that was in the way, as Go quotes it.
fn at(text: &[u8], error: &serde_json::Error) -> Option<String> {
    let line = text
        .split(|byte| *byte == b'\n')
        .nth(error.line().checked_sub(1)?)?;
    let byte = *line.get(error.column().saturating_sub(1)).or(line.last())?;
    Some(match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b' '..=b'~' => format!("'{}'", char::from(byte)),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0x80.. => format!("'{}'", char::from(byte)),
        control => format!(r"'\x{control:02x}'"),
    })
}

/// Where it was in the way.
fn place(said: &str) -> Option<&'static str> {
    const PLACES: &[(&str, &str)] = &[
        ("expected value", "looking for beginning of value"),
        (
            "key must be a string",
            "looking for beginning of object key string",
        ),
        ("trailing comma", "looking for beginning of value"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("trailing characters", "after top-level value"),
        ("control character", "in string literal"),
        ("invalid escape", "in string escape code"),
        ("invalid number", "in numeric literal"),
    ];
    let found = PLACES.iter().find(|(ours, _)| said.starts_with(ours));
    found.map(|(_, go)| *go)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_words_are_gos() {
        for (text, wanted) in [
            ("{", "unexpected end of JSON input"),
            ("", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            (
                "{\"a\":}",
                "invalid character '}' looking for beginning of value",
            ),
            (
                "{a:1}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 \"b\":2}",
                "invalid character '\"' after object key:value pair",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            (
                "{\"a\":1}\n  x",
                "invalid character 'x' after top-level value",
            ),
        ] {
            let error = serde_json::from_str::<Value>(text).unwrap_err();
            assert_eq!(words(text.as_bytes(), &error), wanted, "{text}");
        }
    }

    #[test]
    fn numbers_are_gos() {
        for (text, wanted) in [
            ("3.0", "3"),
            ("3", "3"),
            ("0.5", "0.5"),
            ("-0.00001", "-1e-05"),
            ("1e21", "1e+21"),
            ("123456789.0", "123456789"),
        ] {
            assert_eq!(number(&text.parse().unwrap()), wanted);
            let error = crate::meta::FieldError::invalid(
                "a",
                serde_json::from_str::<Value>(text).unwrap(),
                "",
            );
            assert_eq!(error.to_string(), format!("a: Invalid value: {wanted}"));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_number_is_read_to_its_last_bit(number in proptest::num::f64::NORMAL) {
            let read = serde_json::from_str::<f64>(&format!("{number:e}")).unwrap();
            proptest::prop_assert_eq!(read, number);
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            if let Err(error) = serde_json::from_str::<Value>(&text) {
                let _ = words(text.as_bytes(), &error);
            }
        }
    }
}
