//! Regular expressions as Go's `regexp` reads them, run by the crate `regex` in linear time.
//! Must not know values.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

use crate::meta::cel::value::Failure;

/// Largest compiled pattern (bytes).
const MAX_COMPILED: usize = 2 << 20;
/// Longest pattern (bytes).
const MAX_PATTERN: usize = 100_000;
/// Most compiled patterns that are kept; rules are few and use the same ones again and again.
const MAX_KEPT: usize = 256;

static KEPT: LazyLock<Mutex<HashMap<String, Arc<Regex>>>> = LazyLock::new(Mutex::default);

/// Compiles a pattern, or takes it from those kept.
pub(in crate::meta::cel) fn compile(pattern: &str) -> Result<Arc<Regex>, Failure> {
    if let Some(kept) = KEPT.lock().get(pattern) {
        return Ok(Arc::clone(kept));
    }
    let bad = |why: String| Failure::new(format!("error parsing regexp: {why}: `{pattern}`"));
    if pattern.len() > MAX_PATTERN {
        return Err(bad("expression too large".to_owned()));
    }
    if let Some(twice) = repeated_repetition(pattern) {
        return Err(Failure::new(format!(
            "error parsing regexp: invalid nested repetition operator: `{twice}`"
        )));
    }
    let compiled = RegexBuilder::new(&translate(pattern))
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(200)
        .build();
    match compiled {
        Ok(regex) => {
            let regex = Arc::new(regex);
            let mut kept = KEPT.lock();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(pattern.to_owned(), Arc::clone(&regex));
            Ok(regex)
        }
        Err(why) => {
            let why = why.to_string();
            let last = why
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            Err(bad(words(last).to_owned()))
        }
    }
}

/// Go's words for an error of the crate.
fn words(why: &str) -> &str {
    match why {
        "unopened group" => "unexpected )",
        "unclosed group" => "missing closing )",
        "unclosed character class" => "missing closing ]",
        "repetition operator missing expression" => "missing argument to repetition operator",
        other => other,
    }
}

/// A repetition of a repetition, which Go does not allow.
fn repeated_repetition(pattern: &str) -> Option<String> {
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    let mut last = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
                last.clear();
            }
            '[' => {
                class = true;
                last.clear();
            }
            ']' => class = false,
            '*' | '+' | '?' if !class => {
                let mut operator = String::from(c);
                if !last.is_empty() {
                    return Some(format!("{last}{operator}"));
                }
                if chars.next_if_eq(&'?').is_some() {
                    operator.push('?');
                }
                last = operator;
            }
            '(' if !class => {
                chars.next_if_eq(&'?');
                last.clear();
            }
            _ => last.clear(),
        }
    }
    None
}

/// Go's syntax in that of the crate: classes of letters are ASCII, brackets do not nest.
fn translate(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let first = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => out.push_str(if class {
                    "\\t\\n\\x0c\\r "
                } else {
                    "[\\t\\n\\x0c\\r ]"
                }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str("[^\\t\\n\\x0c\\r ]"),
                Some('b') if !class => out.push_str("(?-u:\\b)"),
                Some('Q') => quoted(&mut chars, &mut out),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if class && chars.peek() == Some(&':') => {
                // A class by name: up to its closing `:]`.
                out.push('[');
                while let Some(inner) = chars.next() {
                    out.push(inner);
                    if inner == ':' && chars.peek() == Some(&']') {
                        out.push(']');
                        chars.next();
                        break;
                    }
                }
            }
            '[' if class => out.push_str("\\["),
            '[' => {
                class = true;
                class_start = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            ']' if class && !first => {
                class = false;
                out.push(']');
            }
            ']' if class => out.push_str("\\]"),
            '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

/// What stands between `\Q` and `\E` means itself.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            break;
        }
        text.push(c);
    }
    out.push_str(&regex::escape(&text));
}
