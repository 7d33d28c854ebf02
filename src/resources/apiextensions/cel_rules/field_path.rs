//! `fieldPath` of a rule: `.spec.test` or `['a key'].x`, checked against the schema. Must not know
//! rules.
//! Kubernetes: `ValidFieldPath`.

use serde_json::Value as Json;

/// The path without its first dot, if it is one of the schema's.
pub(super) fn valid(path: &str, schema: &Json) -> Result<String, String> {
    find(path, schema, true).map(|(name, _)| name)
}

/// The same for a path of fields alone, with the schema that it leads to.
pub(in crate::resources::apiextensions) fn field<'s>(
    path: &str,
    schema: &'s Json,
) -> Result<(String, &'s Json), String> {
    find(path, schema, false)
}

fn find<'s>(path: &str, schema: &'s Json, brackets: bool) -> Result<(String, &'s Json), String> {
    let mut at = schema;
    let mut out = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if rest.starts_with('[') && !brackets {
            return Err("array notation is not allowed".to_owned());
        } else if let Some(after) = rest.strip_prefix('[') {
            let (quoted, after) = quoted(after)?;
            name = quoted;
            rest = after.strip_prefix(']').ok_or("expected ]")?;
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            let (plain, after) = after.split_at_checked(end).unwrap_or((after, ""));
            if plain.is_empty() {
                return Err("unexpected end of JSON path".to_owned());
            }
            name = plain.to_owned();
            rest = after;
        } else {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len()).max(1);
            let token = rest.get(..end).unwrap_or(rest);
            return Err(format!("expected [ or . but got: {token}"));
        }
        let bad = || "does not refer to a valid field".to_owned();
        let properties = at.get("properties").and_then(Json::as_object);
        if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
            at = properties.get(&name).ok_or_else(bad)?;
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&name);
        } else {
            at = super::additional(at).ok_or_else(bad)?;
            out.push('[');
            out.push_str(&name);
            out.push(']');
        }
    }
    Ok((out, at))
}

/// Reads a single-quoted text off the front.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let inside = text
        .strip_prefix('\'')
        .ok_or_else(|| format!("expected single quoted string but got {text}"))?;
    let mut out = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Ok((out, inside.get(at + 1..).unwrap_or_default())),
            '\\' => out.push(match chars.next().map(|(_, c)| c) {
                Some('a') => '\u{7}',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(c @ ('\'' | '\\')) => c,
                _ => return Err("invalid string literal: invalid escape char".to_owned()),
            }),
            c => out.push(c),
        }
    }
    Err("unexpected end of JSON path".to_owned())
}
