//! Texts: selectors, options, YAML, JSON, paths, quantities and the like.

use crate::meta::list::Continue;
use crate::meta::options::{DeleteOptions, ListOptions, Query, WriteOptions};
use crate::meta::{
    FieldSelector, Quantity, Selector, fields, go_duration, go_json, names, time, yaml,
};
use crate::request_info::{RequestInfo, query_pairs};
use crate::strict_json;
use http::Method;
use serde_json::Value;

/// Selectors read back as they are printed; queries are read or refused.
pub fn selectors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(read) = Selector::parse(text) {
        let printed = read.to_string();
        assert_eq!(
            Selector::parse(&printed).ok().as_ref(),
            Some(&read),
            "{printed}"
        );
        let _ = read.matches(|key| (key == "a").then_some("b"));
    }
    if let Ok(read) = FieldSelector::parse(text) {
        let printed = read.to_string();
        let again = FieldSelector::parse(&printed).expect("what was printed is read");
        assert_eq!(sorted(&again), sorted(&read), "{printed}");
    }
    let equals = FieldSelector::equals("a", text);
    let again = FieldSelector::parse(&equals.to_string());
    assert!(
        text.len() > 100_000 || again.ok() == Some(equals),
        "{text:?}"
    );
    if let Ok(selector) = serde_json::from_str::<Value>(text) {
        let _ = Selector::from_label_selector(Some(&selector));
        let _ = DeleteOptions::parse_body(&selector);
    }
    let pairs: Vec<(String, String)> = query_pairs(text).collect();
    let query = Query::new(&pairs);
    let _ = ListOptions::parse(query);
    let _ = WriteOptions::parse_create(query);
    let _ = WriteOptions::parse_patch(query, true);
    let _ = DeleteOptions::parse_query(query);
    if let Ok(token) = Continue::decode(text) {
        assert_eq!(Continue::decode(&token.encode()).ok(), Some(token));
    }
}

/// The comparisons, whose order says nothing.
fn sorted(selector: &FieldSelector) -> Vec<String> {
    let mut terms: Vec<String> = selector
        .requirements()
        .iter()
        .map(|term| format!("{term:?}"))
        .collect();
    terms.sort_unstable();
    terms
}

/// What is read from YAML reads back when it is written; JSON is YAML.
pub fn yaml(data: &[u8]) {
    for document in yaml::documents(data).into_iter().flatten() {
        let text = yaml::text(&document.value);
        let again = yaml::value(text.as_bytes());
        let again = again.unwrap_or_else(|why| panic!("{why}: {text}"));
        assert!(alike(&again, &document.value), "{again} is not {text}");
        let _ = yaml::line_of(data, document.index, "a.b[0].c");
    }
    // A lenient reader reads what a strict one does, and more.
    if let Ok(strict) = yaml::value(data) {
        assert_eq!(yaml::lenient_value(data), Ok((strict, Vec::new())));
    } else if let Ok((_, doubles)) = yaml::lenient_value(data) {
        assert!(!doubles.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = yaml::is_plain_text(text);
    }
}

/// The reader that tells doubles reads as the plain one does; what is wrong is told.
pub fn json(data: &[u8]) {
    let plain = serde_json::from_slice::<Value>(data);
    match (strict_json::parse(data), plain) {
        (Ok(strict), Ok(plain)) => {
            assert_eq!(strict.value, plain);
            let text = plain.to_string();
            let again = strict_json::parse(text.as_bytes()).expect("what was written is read");
            assert!(alike(&again.value, &plain), "{} is not {text}", again.value);
            assert!(again.duplicates.is_empty());
        }
        (Err(why), Err(_)) => drop(go_json::words(data, &why)),
        (strict, plain) => panic!("{strict:?} is not {plain:?}"),
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = go_json::quoted(text);
    }
}

/// Whether two values say the same: a number may differ in form alone, since Go writes 1.0 as 1.
pub(crate) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A path says the same when it is written anew from what was read.
pub fn paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let Ok(info) = RequestInfo::of(&method, path, query) else {
            continue;
        };
        if !info.is_resource || info.verb_in_path {
            continue;
        }
        let again = RequestInfo::of(&method, &written(&info), query).expect("it was a path before");
        let told = |info: &RequestInfo| {
            [
                &info.verb,
                &info.group,
                &info.version,
                &info.namespace,
                &info.resource,
                &info.subresource,
                &info.name,
            ]
            .map(String::clone)
        };
        // A name that the query selects does not stand in the path.
        if info.verb != "list" && info.verb != "watch" && !empty_inside(&info) {
            assert_eq!(told(&again), told(&info), "{}", written(&info));
        }
    }
}

/// Segments that are empty, or that a path without them reads otherwise.
fn empty_inside(info: &RequestInfo) -> bool {
    let parts = [&info.resource, &info.name, &info.version];
    parts.iter().any(|part| part.is_empty())
        || info.resource == "namespaces"
        || (info.namespace.is_empty() && matches!(info.resource.as_str(), "watch" | "proxy"))
}

fn written(info: &RequestInfo) -> String {
    let mut parts = if info.group.is_empty() {
        vec!["api", info.version.as_str()]
    } else {
        vec!["apis", info.group.as_str(), info.version.as_str()]
    };
    if !info.namespace.is_empty() {
        parts.extend(["namespaces", info.namespace.as_str()]);
    }
    parts.extend([info.resource.as_str(), info.name.as_str()]);
    if !info.subresource.is_empty() {
        parts.push(&info.subresource);
    }
    let mut path = String::new();
    for part in parts {
        path.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    path
}

/// Quantities, durations, times and names are read or refused; a quantity reads back as it is shown.
pub fn scalars(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(read) = Quantity::parse(text) {
        let shown = read.to_string();
        let again = Quantity::parse(&shown).expect("what was shown is read");
        assert_eq!(again.to_string(), shown);
        let _ = (
            read.value(),
            read.millis(),
            read.approximate(),
            read.plus(&again),
            read.minus(&again),
        );
    }
    let _ = go_duration::nanoseconds(text);
    let _ = go_duration::positive(text);
    if let Some(read) = time::parse(text) {
        let shown = time::rfc3339_micro(read);
        assert_eq!(time::parse(&shown).map(time::rfc3339_micro), Some(shown));
    }
    for rule in [
        names::dns1123_label,
        names::dns1123_subdomain,
        names::wildcard_subdomain,
        names::domain_path,
        names::dns1035_label,
        names::qualified_name,
        names::label_value,
        names::config_map_key,
        names::env_var_name,
        names::port_name,
        names::http_header_name,
        names::path_segment,
    ] {
        let _ = rule(text);
    }
    let _ = fields::escape(text);
}
