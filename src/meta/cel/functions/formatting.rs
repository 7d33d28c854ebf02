//! `string.format`: clauses `%s %d %f %e %b %x %X %o`, as cel-go's `ext/formatting.go` writes
//! them for American English.

use super::Machine;
use crate::meta::cel::value::{Failure, Key, MAX_STRING, Value};
use crate::meta::go_json::quoted;

/// Digits after the point where none are asked for.
const DIGITS: usize = 6;
/// What is said of a value that cannot be written as text.
pub(in crate::meta::cel) const STRING_CLAUSE: &str = "string clause can only be used on strings, \
     bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps";
/// Most digits after the point.
const MAX_DIGITS: usize = 60_000;

/// Fills the clauses of a pattern with values.
pub(super) fn format(
    machine: &mut Machine<'_>,
    pattern: &str,
    args: &[Value],
) -> Result<String, Failure> {
    let mut out = String::new();
    let mut args = args.iter().enumerate();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let Some((_, arg)) = args.next() else {
            let index = args.len() + pattern_index(pattern, rest);
            return Err(Failure::new(format!("index {index} out of range")));
        };
        if after.is_empty() {
            return Err(Failure::new("unexpected end of string"));
        }
        let (text, after) = clause(machine, after, arg)?;
        out.push_str(&text);
        if out.len() > MAX_STRING {
            return Err(Failure::Cancelled);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// How many clauses stand before the rest of a pattern.
fn pattern_index(pattern: &str, rest: &str) -> usize {
    let done = pattern.len() - rest.len();
    let head = pattern.get(..done).unwrap_or_default().replace("%%", "");
    head.matches('%').count()
}

fn clause<'a>(
    machine: &mut Machine<'_>,
    text: &'a str,
    arg: &Value,
) -> Result<(String, &'a str), Failure> {
    let (verb, digits, rest) = parse_clause(text).map_err(Failure::Error)?;
    let digits = digits.unwrap_or(DIGITS);
    if digits > MAX_DIGITS {
        return Err(Failure::Cancelled);
    }
    let written = match verb {
        's' => string(machine, arg, 0),
        'd' => decimal(arg),
        'f' => fixed(arg, digits),
        'e' => scientific(arg, digits),
        'b' => binary(arg),
        'x' | 'X' => hex(arg, verb == 'X'),
        _ => octal(arg),
    };
    let written = written.map_err(|why| match why {
        Failure::Error(why) => Failure::new(format!("error during formatting: {why}")),
        other => other,
    })?;
    Ok((written, rest))
}

/// Reads the clause behind a `%`: the verb, the digits that are asked for, and what follows.
pub(in crate::meta::cel) fn parse_clause(
    text: &str,
) -> Result<(char, Option<usize>, &str), String> {
    let bad = |why: String| format!("could not parse formatting clause: {why}");
    let precision = |why: String| bad(format!("error while parsing precision: {why}"));
    let (digits, text) = match text.strip_prefix('.') {
        None => (None, text),
        Some(after) => {
            let end = after
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(|| precision("could not find end of precision specifier".to_owned()))?;
            let (number, after) = after.split_at_checked(end).unwrap_or((after, ""));
            let digits = number.parse().map_err(|_| {
                let why = if number.is_empty() {
                    "invalid syntax"
                } else {
                    "value out of range"
                };
                precision(format!(
                    "error while converting precision to integer: strconv.Atoi: parsing \
                     \"{number}\": {why}"
                ))
            })?;
            (Some(digits), after)
        }
    };
    match text.chars().next() {
        Some(verb @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => {
            Ok((verb, digits, text.get(1..).unwrap_or_default()))
        }
        // Kubernetes looks at one byte.
        _ => Err(bad(format!(
            "unrecognized formatting clause \"{}\"",
            text.bytes().next().map(char::from).unwrap_or_default()
        ))),
    }
}

fn given(what: &str, arg: &Value) -> Failure {
    Failure::new(format!("{what}, was given {}", arg.type_name()))
}

/// Deepest nesting of a value that is written.
const MAX_NESTING: u32 = 200;

fn string(machine: &mut Machine<'_>, arg: &Value, depth: u32) -> Result<String, Failure> {
    machine.work.step(1)?;
    if depth > MAX_NESTING {
        return Err(Failure::Cancelled);
    }
    match arg {
        Value::List(list) => {
            let mut parts = Vec::new();
            for item in &list.items {
                parts.push(nested(machine, item, depth)?);
            }
            Ok(format!("[{}]", parts.join(", ")))
        }
        Value::Map(map) => {
            let mut parts = Vec::new();
            for (at, (key, value)) in &map.0 {
                let key = match at {
                    Key::String(s) => quoted(s),
                    _ => super::text(key),
                };
                parts.push((key, nested(machine, value, depth)?));
            }
            parts.sort();
            let parts: Vec<String> = parts.into_iter().map(|(k, v)| format!("{k}:{v}")).collect();
            Ok(format!("{{{}}}", parts.join(", ")))
        }
        Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => Err(Failure::new(
            "could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to string",
        )),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Type(_) => {
            let text = super::text(arg);
            machine.work.step(text.len() as u64 / 64)?;
            Ok(text)
        }
        other => Err(given(STRING_CLAUSE, other)),
    }
}

/// A value inside a list or a map.
fn nested(machine: &mut Machine<'_>, arg: &Value, depth: u32) -> Result<String, Failure> {
    Ok(match arg {
        Value::String(s) => quoted(s),
        Value::Bytes(_) => format!("b{}", quoted(&super::text(arg))),
        Value::Timestamp(_) => format!("timestamp({})", quoted(&super::text(arg))),
        Value::Duration(_) => format!("duration({})", quoted(&super::text(arg))),
        Value::Double(d) if d.is_finite() => format!("{d:.DIGITS$}"),
        Value::Double(_) => quoted(&super::text(arg)),
        Value::List(_) | Value::Map(_) => string(machine, arg, depth + 1)?,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Type(_) => {
            super::text(arg)
        }
        other => {
            let message = format!("no formatting function for {}", other.type_name());
            return Err(Failure::new(message));
        }
    })
}

fn decimal(arg: &Value) -> Result<String, Failure> {
    match arg {
        Value::Int(_) | Value::Uint(_) => Ok(super::text(arg)),
        other => Err(given("decimal clause can only be used on integers", other)),
    }
}

/// The number of a fixed or scientific clause; some names of numbers count too.
fn double(arg: &Value, what: &str) -> Result<f64, Failure> {
    match arg {
        Value::Double(d) => Ok(*d),
        Value::String(s) if s.as_ref() == "NaN" => Ok(f64::NAN),
        Value::String(s) if s.as_ref() == "Infinity" => Ok(f64::INFINITY),
        Value::String(s) if s.as_ref() == "-Infinity" => Ok(f64::NEG_INFINITY),
        other => Err(given(what, other)),
    }
}

fn special(d: f64) -> Option<String> {
    if d.is_nan() {
        return Some("NaN".to_owned());
    }
    d.is_infinite()
        .then(|| if d > 0.0 { "∞" } else { "-∞" }.to_owned())
}

fn fixed(arg: &Value, digits: usize) -> Result<String, Failure> {
    let d = double(arg, "fixed-point clause can only be used on doubles")?;
    if let Some(special) = special(d) {
        return Ok(special);
    }
    let plain = format!("{d:.digits$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut out = String::new();
    let count = whole.trim_start_matches('-').len();
    for (at, c) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > whole.len() - count && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(out)
}

fn scientific(arg: &Value, digits: usize) -> Result<String, Failure> {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let d = double(arg, "scientific clause can only be used on doubles")?;
    if let Some(special) = special(d) {
        return Ok(special);
    }
    let written = format!("{d:.digits$e}");
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let mut out = format!("{mantissa}\u{202f}×\u{202f}10");
    if exponent.starts_with('-') {
        out.push('⁻');
    }
    let exponent = exponent.trim_start_matches('-');
    if exponent.len() < 2 {
        out.push('⁰');
    }
    for digit in exponent.chars().filter_map(|c| c.to_digit(10)) {
        let raised = usize::try_from(digit).ok().and_then(|at| RAISED.get(at));
        out.extend(raised);
    }
    Ok(out)
}

/// A number in a base, with its sign before it.
fn based(arg: &Value, write: impl Fn(u64) -> String) -> Option<String> {
    match arg {
        Value::Int(i) => {
            let sign = if *i < 0 { "-" } else { "" };
            Some(format!("{sign}{}", write(i.unsigned_abs())))
        }
        Value::Uint(u) => Some(write(*u)),
        _ => None,
    }
}

fn binary(arg: &Value) -> Result<String, Failure> {
    if let Value::Bool(b) = arg {
        return Ok(u8::from(*b).to_string());
    }
    based(arg, |n| format!("{n:b}"))
        .ok_or_else(|| given("only integers and bools can be formatted as binary", arg))
}

fn octal(arg: &Value) -> Result<String, Failure> {
    based(arg, |n| format!("{n:o}"))
        .ok_or_else(|| given("octal clause can only be used on integers", arg))
}

fn hex(arg: &Value, upper: bool) -> Result<String, Failure> {
    let bytes = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let written = match arg {
        Value::String(s) => Some(bytes(s.as_bytes())),
        Value::Bytes(b) => Some(bytes(b)),
        other => based(other, |n| format!("{n:x}")),
    };
    let written = written.ok_or_else(|| {
        given(
            "only integers, byte buffers, and strings can be formatted as hex",
            arg,
        )
    })?;
    Ok(if upper {
        written.to_uppercase()
    } else {
        written
    })
}
