//! What a scalar of YAML 1.1 means, and what it becomes in JSON and as a key of a map.
//! Must not know where it stands. Kubernetes: go-yaml v2 `resolve`, sigs.k8s.io/yaml keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

const TAGS: &str = "tag:yaml.org,2002:";

/// A scalar's meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Large(u64),
    Float(f64),
    Text(String),
}

/// Resolves a scalar: `plain` if it is not quoted, `tag` its full tag if it has one.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    let tag = tag.filter(|t| !t.is_empty());
    let Some(tag) = tag else {
        return Ok(if plain {
            meaning(text)
        } else {
            Scalar::Text(text.to_owned())
        });
    };
    let found = match tag.strip_prefix(TAGS) {
        Some("str" | "timestamp") | None => return Ok(Scalar::Text(text.to_owned())),
        Some("binary") => {
            let packed: String = text.split_whitespace().collect();
            let bytes = STANDARD.decode(packed);
            let bytes = bytes.map_err(|_| "!!binary value contains invalid base64 data")?;
            return Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()));
        }
        Some(kind @ ("null" | "bool" | "int" | "float")) => kind,
        Some(_) => return Ok(Scalar::Text(text.to_owned())),
    };
    let meaning = meaning(text);
    let kind = match &meaning {
        Scalar::Null => "null",
        Scalar::Bool(_) => "bool",
        Scalar::Int(_) | Scalar::Large(_) => "int",
        Scalar::Float(_) => "float",
        Scalar::Text(_) => "str",
    };
    if kind == found || (found == "float" && kind == "int") {
        Ok(meaning)
    } else {
        Err(format!("cannot decode !!{kind} `{text}` as a !!{found}"))
    }
}

/// What an unquoted scalar without a tag means.
fn meaning(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain))
        }
        Some(b'.') => float(text),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Scalar> {
    let negative = text.starts_with('-');
    let signed = text.starts_with(['-', '+']);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let prefix = digits.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (radix, digits) = match prefix.as_str() {
        "0x" => (16, digits.get(2..)?),
        "0o" => (8, digits.get(2..)?),
        "0b" => (2, digits.get(2..)?),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(size).map(Scalar::Int);
    }
    match i64::try_from(size) {
        Ok(size) => Some(Scalar::Int(size)),
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Large(size)),
    }
}

/// A decimal number; one that is too large for a double is none.
fn float(text: &str) -> Option<Scalar> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.splitn(2, ['e', 'E']);
    let (number, exponent) = (parts.next()?, parts.next());
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let number_fits = match number.split_once('.') {
        None => !number.is_empty() && all_digits(number),
        Some((whole, part)) => {
            all_digits(whole) && all_digits(part) && !(whole.is_empty() && part.is_empty())
        }
    };
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && all_digits(e)
    });
    if !number_fits || !exponent_fits {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

impl Scalar {
    /// As JSON, the way a Go program writes it and reads it again: whole numbers are integers.
    pub(super) fn into_json(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Number(value.into()),
            Self::Large(value) => Value::Number(value.into()),
            Self::Text(text) => Value::String(text),
            Self::Float(value) => {
                let Some(number) = Number::from_f64(value) else {
                    let name = if value.is_nan() {
                        "NaN"
                    } else if value > 0.0 {
                        "+Inf"
                    } else {
                        "-Inf"
                    };
                    return Err(format!("json: unsupported value: {name}"));
                };
                // Within this bound a whole double is exactly an integer.
                if value.fract() == 0.0 && value.abs() < 9.2e18 {
                    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
                    let whole = value as i64;
                    Value::Number(whole.into())
                } else {
                    Value::Number(number)
                }
            }
        })
    }

    /// As a key of a JSON map. `value` is what stands there, for the message.
    pub(super) fn into_key(self, value: &Value) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Int(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(float_key(value)),
            Self::Large(key) => Err(format!(
                "unsupported map key of type: uint64, key: {key:#x}, value: {value}"
            )),
            Self::Null => Err(format!(
                "unsupported map key of type: %!s(<nil>), key: <nil>, value: {value}"
            )),
        }
    }
}

/// Go's `FormatFloat(value, 'g', -1, 32)`.
fn float_key(value: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "keys are written in single precision"
    )]
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    let most = i32::try_from(significant).unwrap_or(0).max(21);
    if (-4..most).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Whether a plain scalar of this text is read as this text, by readers of YAML 1.1 too.
pub(super) fn is_text(text: &str) -> bool {
    text != "<<"
        && matches!(meaning(text), Scalar::Text(_))
        && !is_timestamp(text)
        && !is_sexagesimal(text)
}

/// `1:30`, which old readers take for 90. Kubernetes: go-yaml's `isBase60Float`.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && rest.peek().is_some()
        && rest.all(|part| match part.as_bytes() {
            [one] => one.is_ascii_digit(),
            [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
            _ => false,
        })
}

/// A date, or a date and a time. Kubernetes: go-yaml's `parseTimestamp`.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at), text.get(at..)),
        None => (Some(text), None),
    };
    let Some(date) = date else { return false };
    let number = |part: Option<&str>, longest: usize| -> Option<i16> {
        let part = part.filter(|p| !p.is_empty() && p.len() <= longest)?;
        let all = part.bytes().all(|b| b.is_ascii_digit());
        all.then(|| part.parse().ok()).flatten()
    };
    let mut parts = date.split('-');
    let year = parts.next().filter(|year| year.len() == 4);
    let (year, month, day) = (
        number(year, 4),
        number(parts.next(), 2),
        number(parts.next(), 2),
    );
    let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else {
        return false;
    };
    let small = |n: i16| i8::try_from(n).unwrap_or(-1);
    if jiff::civil::Date::new(year, small(month), small(day)).is_err() {
        return false;
    }
    let Some(time) = time else { return true };
    let (zoned, time) = (!time.starts_with(' '), time.get(1..).unwrap_or_default());
    let end = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = (
        time.get(..end).unwrap_or_default(),
        time.get(end..).unwrap_or_default(),
    );
    let zone_fits = match zone.as_bytes() {
        [] => !zoned,
        b"Z" => zoned,
        [_, a, b, b':', c, d] => zoned && [a, b, c, d].iter().all(|d| d.is_ascii_digit()),
        _ => false,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let fraction_fits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let mut parts = clock.split(':');
    let mut below = |most: i16| number(parts.next(), 2).is_some_and(|n| n < most);
    below(24) && below(60) && below(60) && parts.next().is_none() && zone_fits && fraction_fits
}
