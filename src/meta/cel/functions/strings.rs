//! Functions of text: the standard ones, cel-go's `ext/strings` version 2, Kubernetes' regex
//! library.

use super::{Function, Machine, count, formatting, unfit};
use crate::meta::cel::value::{Failure, MAX_ELEMENTS, MAX_STRING, Outcome, Value};
use crate::meta::go_regex::compile;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "contains" => |_, args| test(args, |s, part| s.contains(part)),
        "startsWith" => |_, args| test(args, |s, part| s.starts_with(part)),
        "endsWith" => |_, args| test(args, |s, part| s.ends_with(part)),
        "matches" => |_, args| match args {
            [Value::String(s), Value::String(p)] => match compile(p) {
                Ok(pattern) => Ok(Value::Bool(pattern.is_match(s))),
                Err(why) => Err(Failure::Error(why)),
            },
            _ => unfit(),
        },
        "charAt" => char_at,
        "lowerAscii" => |_, args| change(args, |s| s.to_ascii_lowercase()),
        "upperAscii" => |_, args| change(args, |s| s.to_ascii_uppercase()),
        "trim" => |_, args| change(args, |s| s.trim().to_owned()),
        "replace" => replace,
        "split" => split,
        "substring" => substring,
        "join" => join,
        "strings.quote" => |_, args| change(args, quote),
        "format" => |machine, args| match args {
            [Value::String(s), Value::List(list)] => {
                formatting::format(machine, s, &list.items).map(Value::from)
            }
            _ => unfit(),
        },
        "find" => find_one,
        "findAll" => find_all,
        _ => return None,
    })
}

fn test(args: &[Value], test: impl Fn(&str, &str) -> bool) -> Outcome {
    match args {
        [Value::String(s), Value::String(part)] => Ok(Value::Bool(test(s, part))),
        _ => unfit(),
    }
}

fn change(args: &[Value], change: impl Fn(&str) -> String) -> Outcome {
    match args {
        [Value::String(s)] => Ok(Value::from(change(s))),
        _ => unfit(),
    }
}

fn out_of_range(index: i64) -> Failure {
    Failure::new(format!("index out of range: {index}"))
}

/// Where the character of an index begins, in bytes; the end is an index too.
fn byte_at(s: &str, index: i64) -> Result<usize, Failure> {
    let wanted = usize::try_from(index).map_err(|_| out_of_range(index))?;
    s.char_indices()
        .map(|(at, _)| at)
        .chain([s.len()])
        .nth(wanted)
        .ok_or_else(|| out_of_range(index))
}

fn char_at(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let [Value::String(s), Value::Int(index)] = args else {
        return unfit();
    };
    let at = byte_at(s, *index)?;
    let found = s.get(at..).and_then(|rest| rest.chars().next());
    Ok(Value::from(found.map(String::from).unwrap_or_default()))
}

/// `indexOf` of text.
pub(super) fn index_of(s: &str, part: &str, from: Option<i64>) -> Outcome {
    let offset = from.unwrap_or(0);
    if part.is_empty() {
        return Ok(Value::Int(offset));
    }
    if offset < 0 {
        return Err(out_of_range(offset));
    }
    let Ok(at) = byte_at(s, offset) else {
        return Ok(Value::Int(-1));
    };
    let found = s.get(at..).and_then(|rest| rest.find(part));
    Ok(match found {
        Some(found) => count(
            s.get(..at + found)
                .map_or(0, |before| before.chars().count()),
        ),
        None => Value::Int(-1),
    })
}

/// `lastIndexOf` of text.
pub(super) fn last_index_of(s: &str, part: &str, from: Option<i64>) -> Outcome {
    let length = s.chars().count();
    if part.is_empty() {
        return Ok(from.map_or_else(|| count(length), Value::Int));
    }
    if from.is_some_and(|from| from < 0) {
        return Err(out_of_range(from.unwrap_or(0)));
    }
    let from = from.map_or(length, |from| usize::try_from(from).unwrap_or(usize::MAX));
    if from >= length && s.len() >= part.len() && from != length {
        return Ok(Value::Int(-1));
    }
    let end = byte_at(s, i64::try_from(from).unwrap_or(i64::MAX)).unwrap_or(s.len());
    // The match may begin at `from` at the latest.
    let end = s.len().min(end + part.len());
    let end = (end..=s.len())
        .find(|end| s.is_char_boundary(*end))
        .unwrap_or(s.len());
    let found = s.get(..end).and_then(|head| head.rfind(part));
    Ok(match found {
        Some(found) => count(s.get(..found).map_or(0, |before| before.chars().count())),
        None => Value::Int(-1),
    })
}

fn replace(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (s, old, new, most) = match args {
        [Value::String(s), Value::String(old), Value::String(new)] => (s, old, new, -1),
        [
            Value::String(s),
            Value::String(old),
            Value::String(new),
            Value::Int(n),
        ] => (s, old, new, *n),
        _ => return unfit(),
    };
    let times = s.matches(old.as_ref()).count();
    let times = usize::try_from(most).map_or(times, |most| most.min(times));
    if s.len() + times.saturating_mul(new.len()) > MAX_STRING {
        return Err(Failure::Cancelled);
    }
    Ok(Value::from(s.replacen(old.as_ref(), new, times)))
}

fn split(machine: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (s, separator, most) = match args {
        [Value::String(s), Value::String(sep)] => (s, sep, -1),
        [Value::String(s), Value::String(sep), Value::Int(n)] => (s, sep, *n),
        _ => return unfit(),
    };
    machine.work.step(s.len() as u64)?;
    if s.len() > MAX_ELEMENTS {
        return Err(Failure::Cancelled);
    }
    let Ok(most) = usize::try_from(most) else {
        if separator.is_empty() {
            return Ok(Value::strings(s.chars().map(String::from)));
        }
        return Ok(Value::strings(s.split(separator.as_ref())));
    };
    if most == 0 {
        return Ok(Value::list(Vec::new()));
    }
    if !separator.is_empty() {
        return Ok(Value::strings(s.splitn(most, separator.as_ref())));
    }
    let mut parts = Vec::new();
    let mut rest: &str = s;
    while parts.len() + 1 < most
        && let Some(first) = rest.chars().next()
        && rest.len() > first.len_utf8()
    {
        let (head, tail) = rest
            .split_at_checked(first.len_utf8())
            .unwrap_or((rest, ""));
        parts.push(head);
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    Ok(Value::strings(parts))
}

fn substring(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (s, start, end) = match args {
        [Value::String(s), Value::Int(start)] => (s, *start, None),
        [Value::String(s), Value::Int(start), Value::Int(end)] => (s, *start, Some(*end)),
        _ => return unfit(),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Failure::new(format!(
            "invalid substring range. start: {start}, end: {end}"
        )));
    }
    let from = byte_at(s, start)?;
    let to = match end {
        Some(end) => byte_at(s, end)?,
        None => s.len(),
    };
    Ok(Value::from(s.get(from..to).unwrap_or_default()))
}

fn join(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_ref()),
        _ => return unfit(),
    };
    let mut out = String::new();
    for (at, item) in list.items.iter().enumerate() {
        let Value::String(item) = item else {
            let message = format!("join: invalid input: {}", super::text(item));
            return Err(Failure::new(message));
        };
        if at > 0 {
            out.push_str(separator);
        }
        out.push_str(item);
        if out.len() > MAX_STRING {
            return Err(Failure::Cancelled);
        }
    }
    Ok(Value::from(out))
}

fn quote(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The pattern that is looked for.
fn wanted(pattern: &str) -> Result<std::sync::Arc<regex::Regex>, Failure> {
    compile(pattern).map_err(|why| Failure::new(format!("Illegal regex: {why}")))
}

fn find_one(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    match args {
        [Value::String(s), Value::String(pattern)] => {
            let found = wanted(pattern)?.find(s).map(|m| m.as_str().to_owned());
            Ok(Value::from(found.unwrap_or_default()))
        }
        _ => unfit(),
    }
}

fn find_all(_: &mut Machine<'_>, args: &[Value]) -> Outcome {
    let (s, pattern, most) = match args {
        [Value::String(s), Value::String(p)] => (s, p, usize::MAX),
        [Value::String(s), Value::String(p), Value::Int(n)] => {
            (s, p, usize::try_from(*n).unwrap_or(usize::MAX))
        }
        _ => return unfit(),
    };
    let pattern = wanted(pattern)?;
    let most = most.min(MAX_ELEMENTS);
    Ok(Value::strings(
        pattern.find_iter(s).take(most).map(|m| m.as_str()),
    ))
}
