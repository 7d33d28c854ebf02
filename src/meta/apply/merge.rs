//! Putting a configuration into an object, and taking fields out of it. Must not know who owns
//! what. Kubernetes: structured-merge-diff `typed.Merge`, `typed.RemoveItems`.

use super::compare::{Node, Shape, identified, identity, is_declared, shape};
use super::field_set::{FieldSet, PathElement, path_text};
use crate::meta::go_json::type_of;
use crate::meta::patch::strategic::go_text;
use crate::meta::schema_node::{Expected, child};
use crate::meta::{ListType, SchemaNode};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a configuration is refused for: `.path: why`, or nothing.
pub(super) fn check(config: &Value, schema: Node<'_>) -> Vec<String> {
    let mut errors = Vec::new();
    check_at(config, schema, &mut Vec::new(), &mut errors);
    errors
}

fn check_at(value: &Value, at: Node<'_>, path: &mut Vec<PathElement>, errors: &mut Vec<String>) {
    if let Some(why) = at.and_then(|node| unexpected(value, node.expected())) {
        errors.push(format!("{}: {why}", path_text(path)));
        return;
    }
    match (shape(value, at), value) {
        (Shape::Map, Value::Object(fields)) => {
            for (name, field) in fields {
                path.push(PathElement::field(name));
                let closed = at.is_some_and(SchemaNode::is_closed);
                if closed && !is_declared(at, name) {
                    errors.push(format!("{}: field not declared in schema", path_text(path)));
                }
                check_at(field, child(at, name), path, errors);
                path.pop();
            }
        }
        (Shape::List, Value::Array(list)) => {
            let mut seen = BTreeSet::new();
            for (index, item) in list.iter().enumerate() {
                let element = match identity(item, at) {
                    Ok(element) => element,
                    Err(why) => {
                        errors.push(format!("{}: element {index}: {why}", path_text(path)));
                        continue;
                    }
                };
                if !seen.insert(element.clone()) {
                    errors.push(format!(
                        "{}: duplicate entries for key {element}",
                        path_text(path)
                    ));
                }
                path.push(element);
                check_at(item, at.and_then(SchemaNode::items), path, errors);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Why a value cannot stand where something else is expected. Null can stand anywhere.
/// Kubernetes: structured-merge-diff `typed/validate.go`, in the words of Go's printing.
fn unexpected(value: &Value, expected: Expected) -> Option<String> {
    let scalar = !value.is_object() && !value.is_array();
    let fits = value.is_null()
        || match expected {
            Expected::Anything => true,
            Expected::Map => value.is_object(),
            Expected::List => value.is_array(),
            Expected::Numeric => value.is_number(),
            Expected::String => value.is_string(),
            Expected::Boolean => value.is_boolean(),
            Expected::Scalar => scalar,
        };
    if fits {
        return None;
    }
    let shown = go_text(value);
    Some(match expected {
        Expected::Anything => return None,
        Expected::Map => format!("expected map, got &{{{shown}}}"),
        Expected::List => format!("expected list, got &{{{shown}}}"),
        Expected::Numeric => format!("expected numeric (int or float), got {}", type_of(value)),
        Expected::String => {
            let shown = go_source(value);
            format!("expected string, got &value.valueUnstructured{{Value:{shown}}}")
        }
        Expected::Boolean => format!("expected boolean, got &{{{shown}}}"),
        Expected::Scalar => format!("expected any scalar, got &{{{shown}}}"),
    })
}

/// A value as Go's source would have it.
fn go_source(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_source).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(k, v)| format!("{k:?}:{}", go_source(v)));
            let pairs: Vec<String> = pairs.collect();
            format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
        }
        Value::Null => "interface {}(nil)".to_owned(),
        other => other.to_string(),
    }
}

/// `config` put into `live`. A null in it removes.
pub(super) fn merge(live: &Value, config: &Value, at: Node<'_>) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(fields)) if shape(config, at) == Shape::Map => {
            let mut merged = live.clone();
            for (name, value) in fields {
                if value.is_null() {
                    merged.remove(name);
                    continue;
                }
                let node = child(at, name);
                let value = match live.get(name) {
                    Some(old) => merge(old, value, node),
                    None => without_nulls(value),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(old), Value::Array(new)) if shape(config, at) == Shape::List => {
            Value::Array(merge_lists(old, new, at))
        }
        _ => without_nulls(config),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), without_nulls(v)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Items of `new` in their order, items that only `old` has where they stood among the others.
fn merge_lists(old: &[Value], new: &[Value], at: Node<'_>) -> Vec<Value> {
    let (old, new) = (identified(old, at), identified(new, at));
    let olds: BTreeMap<&PathElement, &Value> = old.iter().map(|(e, v)| (e, *v)).collect();
    let news: BTreeSet<&PathElement> = new.iter().map(|(e, _)| e).collect();
    let items = at.and_then(SchemaNode::items);
    let join = |(element, value): &(PathElement, &Value)| match olds.get(element) {
        Some(before) => merge(before, value, items),
        None => without_nulls(value),
    };
    let mut shared = new.iter().map(|(e, _)| e).filter(|e| olds.contains_key(e));
    let mut next_shared = shared.next();
    let mut merged = BTreeSet::new();
    let mut out = Vec::with_capacity(old.len() + new.len());
    let (mut l, mut r) = (0, 0);
    loop {
        match (old.get(l), new.get(r)) {
            (None, None) => return out,
            (Some((left, _)), Some(right)) if *left == right.0 => {
                merged.insert(left);
                out.push(join(right));
                next_shared = shared.next();
                l += 1;
                r += 1;
                continue;
            }
            (Some((left, _)), Some(_))
                if news.contains(left) && next_shared.is_some_and(|n| n != left) =>
            {
                l += 1;
                continue;
            }
            _ => {}
        }
        if let Some((left, value)) = old.get(l) {
            if !news.contains(left) {
                out.push((*value).clone());
                l += 1;
                continue;
            }
            if merged.contains(left) {
                l += 1;
            }
        }
        if let Some(right) = new.get(r) {
            merged.insert(&right.0);
            out.push(join(right));
            r += 1;
            if next_shared == Some(&right.0) {
                next_shared = shared.next();
            }
        }
    }
}

/// `value` without the members of `set`; what becomes empty by that goes too.
pub(super) fn remove(value: &Value, set: &FieldSet, at: Node<'_>) -> Option<Value> {
    match (shape(value, at), value) {
        (Shape::Map, Value::Object(fields)) => {
            let mut kept = Map::new();
            for (name, field) in fields {
                let (member, below) = set.at(&PathElement::field(name));
                if member {
                    continue;
                }
                let field = match below.filter(|b| !b.is_empty()) {
                    Some(below) => remove(field, below, child(at, name)),
                    None => Some(field.clone()),
                };
                if let Some(field) = field {
                    kept.insert(name.clone(), field);
                }
            }
            (!kept.is_empty() || fields.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::List, Value::Array(list)) => {
            let mut kept = Vec::with_capacity(list.len());
            for (element, item) in identified(list, at) {
                let (member, below) = set.at(&element);
                if member {
                    continue;
                }
                kept.extend(match below.filter(|b| !b.is_empty()) {
                    Some(below) => remove(item, below, at.and_then(SchemaNode::items)),
                    None => Some(item.clone()),
                });
            }
            (!kept.is_empty() || list.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

/// `set` with every declared field that has something below it as a member.
/// Kubernetes: `EnsureNamedFieldsAreMembers`.
pub(super) fn with_named_fields(set: &FieldSet, at: Node<'_>) -> FieldSet {
    set.remade(|element, member, below| {
        let (named, node) = match element.field_name() {
            Some(name) => (is_declared(at, name), child(at, name)),
            None => (false, items_of(at)),
        };
        let inner = with_named_fields(below, node);
        (member || (named && !below.is_empty()), inner)
    })
}

fn items_of(at: Node<'_>) -> Node<'_> {
    let node = at?;
    match node.list_type() {
        ListType::Atomic => None,
        ListType::Set | ListType::Map(_) => node.items(),
    }
}
