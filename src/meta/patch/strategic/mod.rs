//! Strategic merge patches: maps merge by field, lists by the merge key of their items where the
//! kind says so, and directives in the patch say the rest. Must not know kinds.
//! Kubernetes: apimachinery `strategicpatch.StrategicMergeMapPatch`; order and words are kept.

use super::{MAX_DEPTH, PatchError, depth};
use crate::meta::SchemaNode;
use crate::meta::schema_node::child;
use serde_json::{Map, Value};

mod diff;
mod lists;

pub use diff::three_way;

use lists::{merge_list, order_list};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";

type Node<'a> = Option<&'a dyn SchemaNode>;
type Fields = Map<String, Value>;

/// The document after the patch. Both must be maps.
pub fn apply(document: Value, patch: &Value, schema: Node<'_>) -> Result<Value, PatchError> {
    let (Value::Object(original), Value::Object(patch)) = (document, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    if patch.values().any(|v| depth(v) >= MAX_DEPTH) {
        return Err(PatchError::TooLarge(format!(
            "the patch nests deeper than {MAX_DEPTH}"
        )));
    }
    merge_map(original, patch.clone(), schema).map(Value::Object)
}

fn merge_map(mut original: Fields, mut patch: Fields, at: Node<'_>) -> Result<Fields, PatchError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(cleaned_map(patch)),
            Some("delete") => Ok(Map::new()),
            _ => {
                patch.insert(DIRECTIVE.to_owned(), directive.clone());
                Err(unknown_directive(&directive, &patch))
            }
        };
    }
    retain_keys(&mut original, &mut patch)?;
    apply_orders(&mut original, &mut patch, at)?;
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix(DELETE_FROM_PRIMITIVES) {
            // Kubernetes passes over a directive that is no list.
            if let (Value::Array(unwanted), Some(Value::Array(list))) =
                (value, original.get_mut(name))
            {
                list.retain(|item| !unwanted.contains(item));
            }
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let node = child(at, &key);
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                if node.is_some_and(SchemaNode::patch_replace) {
                    Value::Object(cleaned_map(new))
                } else {
                    Value::Object(merge_map(old, new, node)?)
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                if node.is_some_and(SchemaNode::patch_merge) {
                    Value::Array(merge_list(old, new, node)?)
                } else {
                    cleaned(Value::Array(new))
                }
            }
            (_, new) => cleaned(new),
        };
        original.insert(key, merged);
    }
    Ok(original)
}

/// `$retainKeys`: fields of the original that the list does not name go.
fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let wrong = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let Value::Array(keys) = directive else {
        return Err(wrong());
    };
    let kept = |name: &str| keys.iter().any(|k| k.as_str() == Some(name));
    let fits = patch.iter().all(|(name, value)| {
        value.is_null()
            || name.starts_with(DELETE_FROM_PRIMITIVES)
            || name.starts_with(SET_ELEMENT_ORDER)
            || kept(name)
    });
    if !fits {
        return Err(wrong());
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// `$setElementOrder/<list>`: merges the list that it names, if the patch has it, and orders it.
fn apply_orders(original: &mut Fields, patch: &mut Fields, at: Node<'_>) -> Result<(), PatchError> {
    let orders: Vec<String> = patch
        .keys()
        .filter(|k| k.starts_with(SET_ELEMENT_ORDER))
        .cloned()
        .collect();
    for key in orders {
        let Some(order) = patch.remove(&key) else {
            continue;
        };
        let name = key.strip_prefix(SET_ELEMENT_ORDER).unwrap_or_default();
        let Value::Array(order) = order else {
            return Err(no_list(&order));
        };
        let list = |value: Option<Value>| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(no_list(&other)),
        };
        // A list that the patch sets to null is removed like any other field.
        if patch.get(name).is_some_and(Value::is_null) {
            continue;
        }
        let node = child(at, name);
        let merge_key = node.and_then(SchemaNode::patch_merge_key);
        let old = list(original.get(name).cloned())?;
        let new = list(patch.remove(name))?;
        lists::check_order(new.as_deref().unwrap_or_default(), &order, merge_key)?;
        let merged = match (old.clone(), new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => lists::cleaned_list(new),
            (Some(old), Some(new)) if node.is_some_and(SchemaNode::patch_merge) => {
                merge_list(old, new, node)?
            }
            (Some(_), Some(new)) => lists::cleaned_list(new),
        };
        let ordered = order_list(merged, &order, &old.unwrap_or_default(), merge_key)?;
        original.insert(name.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// What of a patch stays where there was nothing to merge with: no nulls, no directives.
fn cleaned(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(cleaned_map(map)),
        Value::Array(items) => Value::Array(lists::cleaned_list(items)),
        other => other,
    }
}

fn cleaned_map(map: Fields) -> Fields {
    map.into_iter()
        .filter(|(name, value)| !value.is_null() && !is_directive(name))
        .map(|(name, value)| (name, cleaned(value)))
        .collect()
}

fn is_directive(name: &str) -> bool {
    name == DIRECTIVE
        || name == RETAIN_KEYS
        || name.starts_with(DELETE_FROM_PRIMITIVES)
        || name.starts_with(SET_ELEMENT_ORDER)
}

fn no_list(value: &Value) -> PatchError {
    let kind = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    PatchError::Failed(format!(
        "expected a []interface {{}}, but received a {kind}"
    ))
}

fn unknown_directive(directive: &Value, map: &Fields) -> PatchError {
    PatchError::Failed(format!(
        "unknown patch type: {} in map: {}",
        go_text(directive),
        go_map(map)
    ))
}

/// A map as Go prints it: `map[a:1 b:2]`.
fn go_map(map: &Fields) -> String {
    let pairs: Vec<String> = map
        .iter()
        .map(|(k, v)| format!("{k}:{}", go_text(v)))
        .collect();
    format!("map[{}]", pairs.join(" "))
}

/// A value as Go prints it.
pub fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(map) => go_map(map),
        Value::Array(items) => go_list(items),
        other => other.to_string(),
    }
}

fn go_list(items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(go_text).collect();
    format!("[{}]", items.join(" "))
}

#[cfg(test)]
mod tests;
