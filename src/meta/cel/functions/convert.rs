//! Conversions between types, and the optionals.

use super::duration::{parse_duration, seconds};
use super::{Function, Machine, unfit};
use crate::meta::cel::instant::Instant;
use crate::meta::cel::value::{Failure, Outcome, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "int" => to_int,
        "uint" => to_uint,
        "double" => to_double,
        "bool" => to_bool,
        "string" => to_string,
        "bytes" => to_bytes,
        "duration" => to_duration,
        "timestamp" => to_timestamp,
        "dyn" => |_, args| args.first().cloned().map_or_else(unfit, Ok),
        "type" => |_, args| match args {
            [value] => Ok(Value::Type(value.type_name().into())),
            _ => unfit(),
        },
        "optional.of" => |_, args| {
            args.first()
                .map_or_else(unfit, |v| Ok(Value::some(v.clone())))
        },
        "optional.ofNonZeroValue" => |_, args| match args {
            [value] if value.is_zero() => Ok(Value::Optional(None)),
            [value] => Ok(Value::some(value.clone())),
            _ => unfit(),
        },
        "optional.none" => |_, _| Ok(Value::Optional(None)),
        "value" => |_, args| match args {
            [Value::Optional(Some(inner))] => Ok((**inner).clone()),
            [Value::Optional(None)] => Err(Failure::new("optional.none() dereference")),
            _ => unfit(),
        },
        "hasValue" => |_, args| match args {
            [Value::Optional(inner)] => Ok(Value::Bool(inner.is_some())),
            _ => unfit(),
        },
        _ => return None,
    })
}

fn cannot(from: &Value, to: &str) -> Outcome {
    Err(Failure::new(format!(
        "type conversion error from '{}' to '{to}'",
        short_name(from)
    )))
}

fn short_name(value: &Value) -> &str {
    value.type_name()
}

fn overflow() -> Failure {
    Failure::new("integer overflow")
}

fn to_int(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    Ok(Value::Int(match args {
        [Value::Int(i)] => *i,
        [Value::Uint(u)] => i64::try_from(*u).map_err(|_| overflow())?,
        #[allow(clippy::cast_possible_truncation, reason = "in range")]
        [Value::Double(d)] if *d > -9.223_372_036_854_775e18 && *d < 9.223_372_036_854_775e18 => {
            *d as i64
        }
        [Value::Double(_)] => return Err(overflow()),
        [Value::Timestamp(t)] => t.second(),
        [Value::Duration(d)] => *d,
        [Value::String(s)] => match go_integer(s).and_then(|s| s.parse().ok()) {
            Some(i) => i,
            None => return cannot(&Value::from(s.as_ref()), "int"),
        },
        _ => return unfit(),
    }))
}

/// The text if it is a number in Go's eyes (which takes `+1`, but no space).
fn go_integer(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

fn to_uint(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let over = || Failure::new("unsigned integer overflow");
    Ok(Value::Uint(match args {
        [Value::Uint(u)] => *u,
        [Value::Int(i)] => u64::try_from(*i).map_err(|_| over())?,
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range"
        )]
        [Value::Double(d)] if *d >= 0.0 && *d < 1.844_674_407_370_955_1e19 => *d as u64,
        [Value::Double(_)] => return Err(over()),
        [Value::String(s)] => match go_integer(s).filter(|s| !s.starts_with(['+', '-'])) {
            Some(digits) => match digits.parse() {
                Ok(u) => u,
                Err(_) => return cannot(&Value::from(s.as_ref()), "uint"),
            },
            None => return cannot(&Value::from(s.as_ref()), "uint"),
        },
        _ => return unfit(),
    }))
}

fn to_double(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    #[allow(clippy::cast_precision_loss, reason = "as the conversion is defined")]
    Ok(Value::Double(match args {
        [Value::Double(d)] => *d,
        [Value::Int(i)] => *i as f64,
        [Value::Uint(u)] => *u as f64,
        [Value::String(s)] => match go_float(s) {
            Some(d) => d,
            None => return cannot(&Value::from(s.as_ref()), "double"),
        },
        _ => return unfit(),
    }))
}

/// A floating point number as Go reads it: also with `_` between digits, and in hexadecimal.
fn go_float(text: &str) -> Option<f64> {
    let (sign, plain) = match text.split_at_checked(1) {
        Some(("-", rest)) => (-1.0, rest),
        Some(("+", rest)) => (1.0, rest),
        _ => (1.0, text),
    };
    match plain.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return (plain.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    let hex = plain
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let is_digit = |b: &u8| {
        if hex {
            b.is_ascii_hexdigit()
        } else {
            b.is_ascii_digit()
        }
    };
    let bytes = plain.as_bytes();
    let between = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        before.is_some_and(|b| is_digit(b) || hex && at == 2)
            && bytes.get(at + 1).is_some_and(is_digit)
    };
    if bytes
        .iter()
        .enumerate()
        .any(|(at, b)| *b == b'_' && !between(at))
    {
        return None;
    }
    let plain = plain.replace('_', "");
    let found = if hex {
        hex_float(plain.get(2..)?)?
    } else if plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        plain.parse().ok()?
    } else {
        return None;
    };
    found.is_finite().then_some(sign * found)
}

/// `1.8p3`: hexadecimal digits and an exponent of two.
fn hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut found = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        found = found * 16.0 + f64::from(c.to_digit(16)?);
    }
    let places = i32::try_from(fraction.len()).ok()?;
    Some(found * 2_f64.powi(exponent.checked_sub(places.checked_mul(4)?)?))
}

fn to_bool(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Bool(b)] => Ok(Value::Bool(*b)),
        [Value::String(s)] => match s.as_ref() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => cannot(&Value::from(s.as_ref()), "bool"),
        },
        _ => unfit(),
    }
}

fn to_bytes(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Bytes(_)] => args.first().cloned().map_or_else(unfit, Ok),
        [Value::String(s)] => Ok(Value::Bytes(s.as_bytes().into())),
        _ => unfit(),
    }
}

fn to_duration(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Duration(d)] => Ok(Value::Duration(*d)),
        [int @ Value::Int(_)] => cannot(int, "google.protobuf.Duration"),
        [Value::String(s)] => match parse_duration(s) {
            Some(nanos) => Ok(Value::Duration(nanos)),
            None => cannot(&Value::from(s.as_ref()), "google.protobuf.Duration"),
        },
        _ => unfit(),
    }
}

fn to_timestamp(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Timestamp(t)] => Ok(Value::Timestamp(*t)),
        [Value::Int(second)] => Instant::from_second(*second)
            .map(Value::Timestamp)
            .ok_or_else(|| Failure::new("timestamp overflow")),
        [Value::String(s)] => match Instant::read(s) {
            Some(at) if Instant::from_second(at.second()).is_some() => Ok(Value::Timestamp(at)),
            Some(_) => Err(Failure::new("timestamp overflow")),
            None => cannot(&Value::from(s.as_ref()), "google.protobuf.Timestamp"),
        },
        _ => unfit(),
    }
}

fn to_string(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::Bytes(b)] => std::str::from_utf8(b)
            .map(Value::from)
            .map_err(|_| Failure::new("invalid UTF-8 in bytes, cannot convert to string")),
        [Value::String(_)] => args.first().cloned().map_or_else(unfit, Ok),
        [
            value @ (Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::Timestamp(_)
            | Value::Duration(_)
            | Value::Ip(_)
            | Value::Cidr(..)),
        ] => {
            machine.work.step(1)?;
            Ok(Value::from(text(value)))
        }
        _ => unfit(),
    }
}

/// A value as text: what `string()` gives, and what errors show.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => shortest(*d),
        Value::String(s) => s.to_string(),
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        Value::Timestamp(t) => t.to_string(),
        Value::Duration(d) => seconds(*d),
        Value::Type(name) => name.to_string(),
        Value::Ip(ip) => ip.to_string(),
        Value::Cidr(ip, bits) => format!("{ip}/{bits}"),
        Value::Quantity(q) => q.to_string(),
        Value::Url(url) => url.text().to_owned(),
        Value::Semver(version) => version.to_string(),
        Value::Optional(_) | Value::List(_) | Value::Map(_) | Value::Format(_) => {
            value.type_name().to_owned()
        }
        Value::Invalid(why) => why.to_string(),
    }
}

/// A floating point number as Go's `%g` writes it.
fn shortest(d: f64) -> String {
    if d.is_nan() {
        return "NaN".to_owned();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{d:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{d}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Reads base64 as the format `byte` does.
pub(crate) fn bytes_of_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
