//! What differs between two objects, and which fields an object has, as sets of paths. Lists
//! and maps that are owned as a whole are leaves. Must not know who owns what.
//! Kubernetes: structured-merge-diff `typed.Compare`, `typed.ToFieldSet`.

use super::field_set::{FieldSet, PathElement};
use crate::meta::schema_node::child;
use crate::meta::{ListType, SchemaNode};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A place in a schema, if it is known.
pub(super) type Node<'a> = Option<&'a dyn SchemaNode>;

/// Fields that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only in the new object.
    pub added: FieldSet,
    /// In both, with other values.
    pub modified: FieldSet,
    /// Only in the old object.
    pub removed: FieldSet,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without `fields` and what is below them.
    pub(super) fn without(self, fields: &FieldSet) -> Self {
        Self {
            added: self.added.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            removed: self.removed.recursive_difference(fields),
        }
    }
}

/// How a value is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As a whole.
    Leaf,
    /// By field.
    Map,
    /// By item.
    List,
}

pub(super) fn shape(value: &Value, at: Node<'_>) -> Shape {
    match value {
        Value::Object(_) if !at.is_some_and(SchemaNode::is_atomic_map) => Shape::Map,
        Value::Array(_) => match at.map(SchemaNode::list_type) {
            Some(ListType::Set | ListType::Map(_)) => Shape::List,
            Some(ListType::Atomic) | None => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

/// Whether the schema declares the field, as opposed to a key of a map.
pub(super) fn is_declared(at: Node<'_>, name: &str) -> bool {
    at.is_some_and(|node| node.field(name).is_some())
}

/// What identifies an item of a list that is owned by item; why it has no identity otherwise.
pub(super) fn identity(item: &Value, at: Node<'_>) -> Result<PathElement, String> {
    let keys = match at.map(SchemaNode::list_type) {
        Some(ListType::Map(keys)) => keys,
        _ => return Ok(PathElement::value(item)),
    };
    let Value::Object(fields) = item else {
        return Err("associative list with keys may not have non-map elements".to_owned());
    };
    let mut identity = Map::new();
    for key in keys {
        let default = || {
            let items = at.and_then(SchemaNode::items);
            items
                .and_then(|n| n.field(key))
                .and_then(SchemaNode::default_value)
        };
        let found = fields.get(key.as_ref()).filter(|v| !v.is_null());
        let Some(value) = found.cloned().or_else(default) else {
            return Err(format!(
                "associative list with keys has an element that omits key field {key:?} (and \
                 doesn't have default value)"
            ));
        };
        identity.insert(key.to_string(), value);
    }
    Ok(PathElement::key(identity))
}

/// The items of a list by identity, in order; items without one, and repeated ones, go by index.
pub(super) fn identified<'v>(list: &'v [Value], at: Node<'_>) -> Vec<(PathElement, &'v Value)> {
    let mut seen = BTreeSet::new();
    let mut items = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let element = identity(item, at).ok();
        let element = element.filter(|e| seen.insert(e.clone()));
        items.push((element.unwrap_or_else(|| PathElement::index(index)), item));
    }
    items
}

/// The fields that `value` has. Kubernetes: `ToFieldSet`.
pub fn to_set(value: &Value, schema: Node<'_>) -> FieldSet {
    let mut set = FieldSet::new();
    collect(value, schema, &mut Vec::new(), &mut set);
    set
}

fn collect(value: &Value, at: Node<'_>, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match (shape(value, at), value) {
        (Shape::Map, Value::Object(fields)) => {
            for (name, field) in fields {
                path.push(PathElement::field(name));
                collect(field, child(at, name), path, set);
                let empty = field.as_object().is_some_and(Map::is_empty);
                if empty || !is_declared(at, name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Shape::List, Value::Array(list)) => {
            for (element, item) in identified(list, at) {
                path.push(element);
                collect(item, at.and_then(SchemaNode::items), path, set);
                set.insert(path);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// What differs. Kubernetes: `Compare`.
pub fn compare(old: &Value, new: &Value, schema: Node<'_>) -> Comparison {
    let mut result = Comparison::default();
    walk(Some(old), Some(new), schema, &mut Vec::new(), &mut result);
    result
}

/// What differs between the fields of two objects, which need not be made values for it.
pub(super) fn compare_fields(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    schema: Node<'_>,
) -> Comparison {
    let mut result = Comparison::default();
    walk_fields(Some(old), Some(new), schema, &mut Vec::new(), &mut result);
    result
}

fn walk(
    old: Option<&Value>,
    new: Option<&Value>,
    at: Node<'_>,
    path: &mut Vec<PathElement>,
    result: &mut Comparison,
) {
    let shapes = [old, new].map(|v| v.filter(|v| !v.is_null()).map(|v| shape(v, at)));
    let kind = match shapes {
        [Some(a), Some(b)] if a != b => {
            // Nothing is comparable below: all of the old goes, all of the new comes.
            let mut gone = FieldSet::new();
            let mut come = FieldSet::new();
            old.inspect(|v| collect(v, at, path, &mut gone));
            new.inspect(|v| collect(v, at, path, &mut come));
            result.modified.insert(path);
            let lost = gone.clone().difference(&come);
            result.removed = std::mem::take(&mut result.removed).union(lost);
            result.added = std::mem::take(&mut result.added).union(come.difference(&gone));
            return;
        }
        [Some(a), _] | [None, Some(a)] => a,
        [None, None] => Shape::Leaf,
    };
    let length = |v: Option<&Value>| match v {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    if kind == Shape::Leaf || length(old) + length(new) == 0 {
        match (old, new) {
            (None, _) => result.added.insert(path),
            (_, None) => result.removed.insert(path),
            (Some(old), Some(new)) if old != new => result.modified.insert(path),
            _ => {}
        }
        return;
    }
    if kind == Shape::Map {
        walk_map(old, new, at, path, result);
    } else {
        walk_list(old, new, at, path, result);
    }
    if old.is_none() {
        result.added.insert(path);
    } else if new.is_none() {
        result.removed.insert(path);
    }
}

fn walk_map(
    old: Option<&Value>,
    new: Option<&Value>,
    at: Node<'_>,
    path: &mut Vec<PathElement>,
    result: &mut Comparison,
) {
    let (old, new) = (
        old.and_then(Value::as_object),
        new.and_then(Value::as_object),
    );
    walk_fields(old, new, at, path, result);
}

fn walk_fields(
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    at: Node<'_>,
    path: &mut Vec<PathElement>,
    result: &mut Comparison,
) {
    let mut field = |name: &str, before: Option<&Value>, after: Option<&Value>| {
        if before.is_some() && before == after {
            return;
        }
        path.push(PathElement::field(name));
        walk(before, after, child(at, name), path, result);
        path.pop();
    };
    for (name, after) in new.into_iter().flatten() {
        field(name, old.and_then(|old| old.get(name)), Some(after));
    }
    for (name, before) in old.into_iter().flatten() {
        if !new.is_some_and(|new| new.contains_key(name)) {
            field(name, Some(before), None);
        }
    }
}

fn walk_list(
    old: Option<&Value>,
    new: Option<&Value>,
    at: Node<'_>,
    path: &mut Vec<PathElement>,
    result: &mut Comparison,
) {
    fn items<'v>(list: Option<&'v Value>, at: Node<'_>) -> BTreeMap<PathElement, &'v Value> {
        let list = list.and_then(Value::as_array).map(Vec::as_slice);
        identified(list.unwrap_or_default(), at)
            .into_iter()
            .collect()
    }
    let (before, after) = (items(old, at), items(new, at));
    let gone = before
        .keys()
        .filter(|element| !after.contains_key(*element));
    for element in after.keys().chain(gone) {
        let (was, is) = (before.get(element).copied(), after.get(element).copied());
        if was.is_some() && was == is {
            continue;
        }
        path.push(element.clone());
        walk(was, is, at.and_then(SchemaNode::items), path, result);
        path.pop();
    }
}
