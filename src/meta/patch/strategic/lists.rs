//! Lists in strategic merge patches: merged by key, in the order that patch and server agree on.
//! Must not know maps beyond their keys. Kubernetes: `strategicpatch.mergeSlice`.

use super::{
    DIRECTIVE, Fields, Node, PatchError, cleaned, go_list, go_map, merge_map, unknown_directive,
};
use crate::meta::SchemaNode;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

type Items = Vec<Value>;

/// Merges the list `patch` into `original`.
pub(super) fn merge_list(original: Items, patch: Items, at: Node<'_>) -> Result<Items, PatchError> {
    let merge_key = at.and_then(SchemaNode::patch_merge_key);
    let mut all = original.iter().chain(&patch);
    if all.clone().any(Value::is_array) {
        return Err(PatchError::DoesNotFit(
            "lists of lists are not supported".to_owned(),
        ));
    }
    let maps = all.clone().filter(|v| v.is_object()).count();
    if maps == 0 {
        let mut seen = HashSet::new();
        let merged: Items = all
            .filter(|v| seen.insert(v.to_string()))
            .cloned()
            .collect();
        return order_list(merged, &patch, &original, None);
    }
    if all.any(|v| !v.is_object()) {
        let lists = format!("[{} {}]", go_list(&original), go_list(&patch));
        return Err(PatchError::Failed(format!(
            "list element types are not identical: {lists}"
        )));
    }
    let Some(key) = merge_key else {
        return Err(PatchError::Failed(
            "cannot merge lists without merge key".to_owned(),
        ));
    };
    let Some((original, patch)) = apply_directives(original, patch, key)? else {
        return Ok(Vec::new());
    };
    let server_order = original.clone();
    let mut merged = original;
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, item) in merged.iter().enumerate() {
        if let Some(value) = item.get(key) {
            places.entry(value.to_string()).or_insert(index);
        }
    }
    let items = at.and_then(SchemaNode::items);
    for change in &patch {
        let Value::Object(change) = change else {
            continue;
        };
        let value = key_of(change, key)?.to_string();
        match places.get(&value).and_then(|at| merged.get_mut(*at)) {
            Some(slot) => {
                if let Value::Object(old) = slot.take() {
                    *slot = Value::Object(merge_map(old, change.clone(), items)?);
                }
            }
            None => {
                places.insert(value, merged.len());
                merged.push(cleaned(Value::Object(change.clone())));
            }
        }
    }
    order_list(merged, &patch, &server_order, Some(key))
}

/// Carries out `$patch` items. `None` where nothing is left to merge; else the list to merge into
/// and the items to merge.
fn apply_directives(
    mut original: Items,
    patch: Items,
    key: &str,
) -> Result<Option<(Items, Items)>, PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = &item else { continue };
        let Some(directive) = map.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let unwanted = key_of(map, key)?.clone();
                original.retain(|o| o.get(key) != Some(&unwanted));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Failed(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            _ => return Err(unknown_directive(directive, map)),
        }
    }
    if replace {
        return Ok(Some((cleaned_list(plain), Vec::new())));
    }
    if original.is_empty() && plain.is_empty() {
        return Ok(None);
    }
    Ok(Some((original, plain)))
}

/// Orders `list`: the items that `wanted` names in its order, the others where the server had
/// them relative to those.
pub(super) fn order_list(
    list: Items,
    wanted: &[Value],
    server: &[Value],
    merge_key: Option<&str>,
) -> Result<Items, PatchError> {
    let identity = |item: &Value| match (merge_key, item) {
        (Some(key), Value::Object(map)) => key_of(map, key).map(ToString::to_string),
        _ => Ok(item.to_string()),
    };
    let wanted = ranks(wanted, identity)?;
    let server = ranks(server, identity)?;
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in list {
        let id = identity(&item)?;
        match wanted.get(&id) {
            Some(rank) => named.push((*rank, id, item)),
            None => others.push((server.get(&id).copied().unwrap_or(usize::MAX), id, item)),
        }
    }
    named.sort_by_key(|(rank, ..)| *rank);
    others.sort_by_key(|(rank, ..)| *rank);
    let mut result = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (named.peek(), others.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some((_, n, _)), Some((_, o, _))) => match (server.get(n), server.get(o)) {
                (Some(n), Some(o)) => o < n,
                _ => false,
            },
        };
        let next = if other_first {
            others.next()
        } else {
            named.next()
        };
        result.extend(next.map(|(_, _, item)| item));
    }
}

/// That what a patch does not delete stands in the wanted order too, and all of it does.
/// Kubernetes: `validatePatchWithSetOrderList`.
pub(super) fn check_order(
    patch: &[Value],
    wanted: &[Value],
    merge_key: Option<&str>,
) -> Result<(), PatchError> {
    if patch.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let directed = |item: &&Value| item.get(DIRECTIVE).is_some();
    let mut left = patch.iter().filter(|item| !directed(item)).peekable();
    for place in wanted {
        let Some(item) = left.peek() else { break };
        if is_same_item(item, place, merge_key)? {
            left.next();
        }
    }
    if left.peek().is_none() {
        return Ok(());
    }
    Err(PatchError::Failed(format!(
        "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
        go_list(patch),
        go_list(wanted)
    )))
}

fn is_same_item(item: &Value, place: &Value, key: Option<&str>) -> Result<bool, PatchError> {
    match (key, item, place) {
        (Some(key), Value::Object(item), Value::Object(place)) => {
            Ok(key_of(item, key)? == key_of(place, key)?)
        }
        _ => Ok(item == place),
    }
}

fn ranks(
    items: &[Value],
    identity: impl Fn(&Value) -> Result<String, PatchError>,
) -> Result<HashMap<String, usize>, PatchError> {
    let mut ranks = HashMap::with_capacity(items.len());
    for (rank, item) in items.iter().enumerate() {
        ranks.entry(identity(item)?).or_insert(rank);
    }
    Ok(ranks)
}

fn key_of<'a>(map: &'a Fields, key: &str) -> Result<&'a Value, PatchError> {
    map.get(key).ok_or_else(|| {
        PatchError::Failed(format!(
            "map: {} does not contain declared merge key: {key}",
            go_map(map)
        ))
    })
}

/// Items without nulls and directives; items that only directed are dropped.
pub(super) fn cleaned_list(items: Items) -> Items {
    items
        .into_iter()
        .filter(|item| item.get(DIRECTIVE).is_none())
        .map(cleaned)
        .collect()
}
