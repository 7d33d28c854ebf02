//! The patch that client-side apply sends: what a manifest says otherwise than the object is, and
//! what the manifest said when it was last applied and says no more. What others have added stays.
//! Must not know kinds. Kubernetes: `strategicpatch.CreateThreeWayMergePatch`, kubectl's `apply`.

use super::{
    DELETE_FROM_PRIMITIVES, DIRECTIVE, Fields, MAX_DEPTH, Node, PatchError, RETAIN_KEYS,
    SET_ELEMENT_ORDER, depth, go_map,
};
use crate::meta::SchemaNode;
use crate::meta::schema_node::child;
use serde_json::{Map, Value, json};

/// The patch that brings `current` to what `modified` says, where `original` is what was said last
/// (`Null` if nothing was). Without a schema it is a JSON merge patch; with one, a strategic merge
/// patch. Empty if there is nothing to change.
pub fn three_way(
    original: &Value,
    modified: &Value,
    current: &Value,
    schema: Node<'_>,
) -> Result<Value, PatchError> {
    let (Value::Object(modified), Value::Object(current)) = (modified, current) else {
        return Err(PatchError::Malformed("invalid JSON document".to_owned()));
    };
    if modified.values().any(|v| depth(v) >= MAX_DEPTH) {
        return Err(PatchError::TooLarge(format!(
            "the object nests deeper than {MAX_DEPTH}"
        )));
    }
    maps(original.as_object(), modified, current, schema).map(Value::Object)
}

fn maps(
    original: Option<&Fields>,
    modified: &Fields,
    current: &Fields,
    at: Node<'_>,
) -> Result<Fields, PatchError> {
    let mut patch = Map::new();
    for (key, wanted) in modified {
        let node = child(at, key);
        let before = original.and_then(|original| original.get(key));
        match (current.get(key), wanted) {
            (Some(Value::Object(now)), Value::Object(wanted)) if !replaces(node) => {
                let before = before.and_then(Value::as_object);
                let mut inner = maps(before, wanted, now, node)?;
                retain_keys(&mut inner, before, wanted, now, node);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Some(Value::Array(now)), Value::Array(wanted)) if merges(node) => {
                let before = before.and_then(Value::as_array);
                let before = before.map(Vec::as_slice).unwrap_or_default();
                let change = lists(before, wanted, now, node)?;
                change.write(key, &mut patch);
            }
            (Some(now), wanted) if same(now, wanted) => {}
            _ => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    let gone = original.into_iter().flat_map(Map::keys);
    for key in gone.filter(|key| !modified.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Ok(patch)
}

fn merges(node: Node<'_>) -> bool {
    node.is_some_and(SchemaNode::patch_merge)
}

fn replaces(node: Node<'_>) -> bool {
    node.is_some_and(SchemaNode::patch_replace)
}

/// Numbers are the same if they mean the same: a manifest may write 1.0 for 1.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        _ => a == b,
    }
}

/// `$retainKeys`: of a union only what the manifest names stays.
fn retain_keys(
    patch: &mut Fields,
    original: Option<&Fields>,
    modified: &Fields,
    current: &Fields,
    node: Node<'_>,
) {
    if !node.is_some_and(SchemaNode::patch_retain_keys) {
        return;
    }
    let more = |map: &Fields| map.keys().any(|key| !modified.contains_key(key));
    if patch.is_empty() && !more(current) && !original.is_some_and(more) {
        return;
    }
    let keys = modified.iter().filter(|(_, value)| !value.is_null());
    let keys: Vec<&String> = keys.map(|(key, _)| key).collect();
    if !keys.is_empty() {
        patch.insert(RETAIN_KEYS.to_owned(), json!(keys));
    }
}

/// What changes in a list that merges.
#[derive(Default)]
struct Change {
    items: Vec<Value>,
    delete: Vec<Value>,
    order: Vec<Value>,
}

impl Change {
    fn write(self, key: &str, patch: &mut Fields) {
        for (name, list) in [
            (key.to_owned(), self.items),
            (format!("{DELETE_FROM_PRIMITIVES}{key}"), self.delete),
            (format!("{SET_ELEMENT_ORDER}{key}"), self.order),
        ] {
            if !list.is_empty() {
                patch.insert(name, Value::Array(list));
            }
        }
    }
}

fn lists(
    original: &[Value],
    modified: &[Value],
    current: &[Value],
    at: Node<'_>,
) -> Result<Change, PatchError> {
    let all = || modified.iter().chain(current).chain(original);
    if all().all(|item| !item.is_object()) {
        return Ok(scalars(original, modified, current));
    }
    let Some(key) = at.and_then(SchemaNode::patch_merge_key) else {
        return Err(PatchError::DoesNotFit(
            "cannot merge lists without merge key".to_owned(),
        ));
    };
    for item in all() {
        match item {
            Value::Object(map) if map.contains_key(key) => {}
            Value::Object(map) => {
                return Err(PatchError::DoesNotFit(format!(
                    "map: {} does not contain declared merge key: {key}",
                    go_map(map)
                )));
            }
            _ => {
                return Err(PatchError::DoesNotFit(
                    "list element types are not identical".to_owned(),
                ));
            }
        }
    }
    let find = |list: &[Value], item: &Value| -> Option<Fields> {
        let found = list.iter().find(|other| other.get(key) == item.get(key));
        found.and_then(Value::as_object).cloned()
    };
    let node = at.and_then(SchemaNode::items);
    let mut change = Change::default();
    for item in modified {
        let Value::Object(wanted) = item else {
            continue;
        };
        let Some(now) = find(current, item) else {
            change.items.push(item.clone());
            continue;
        };
        let before = find(original, item);
        let mut inner = maps(before.as_ref(), wanted, &now, node)?;
        retain_keys(&mut inner, before.as_ref(), wanted, &now, at);
        if !inner.is_empty() {
            inner.insert(key.to_owned(), item.get(key).cloned().unwrap_or_default());
            change.items.push(Value::Object(inner));
        }
    }
    let gone = original
        .iter()
        .filter(|item| find(modified, item).is_none());
    change.items.extend(gone.map(|item| {
        let mut delete = Map::new();
        delete.insert(DIRECTIVE.to_owned(), json!("delete"));
        delete.insert(key.to_owned(), item.get(key).cloned().unwrap_or_default());
        Value::Object(delete)
    }));
    let keys = |list: &[Value]| -> Vec<Value> {
        let keys = list.iter().filter_map(|item| item.get(key).cloned());
        keys.collect()
    };
    if !change.items.is_empty() || keys(modified) != keys(current) {
        let order = keys(modified).into_iter();
        change.order = order.map(|value| json!({ key: value })).collect();
    }
    if current.is_empty() {
        // Nothing to merge with: the list is set as it is.
        change.order.clear();
        change.items = modified.to_vec();
    }
    Ok(change)
}

fn scalars(original: &[Value], modified: &[Value], current: &[Value]) -> Change {
    let without = |list: &[Value], other: &[Value]| -> Vec<Value> {
        let kept = list.iter().filter(|item| !other.contains(item));
        kept.cloned().collect()
    };
    let mut change = Change {
        items: without(modified, current),
        delete: without(original, modified),
        order: Vec::new(),
    };
    let changed = !change.items.is_empty() || !change.delete.is_empty() || modified != current;
    if changed && !current.is_empty() {
        change.order = modified.to_vec();
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::patch::strategic::apply;
    use crate::meta::schema_node::testing::TestNode;

    fn schema() -> TestNode {
        TestNode::new(&json!({"fields": {
            "spec": {"fields": {
                "ports": {"merge": true, "key": "port", "items": {"fields": {}}},
                "volumes": {"merge": true, "retain": true, "key": "name", "items": {}},
                "names": {"merge": true, "items": {}},
                "args": {"items": {}},
            }},
        }}))
    }

    fn patch(original: Value, modified: Value, current: Value) -> Value {
        three_way(&original, &modified, &current, Some(&schema())).unwrap()
    }

    /// What kubectl 1.33 sends in the same cases.
    #[test]
    fn patches_are_kubectl_s() {
        let said = |ports: Value, names: Value| json!({"spec": {"ports": ports, "names": names}});
        let (a, b) = (json!({"port": 80}), json!({"port": 81}));
        let (x, z) = (json!({"port": 80, "to": 8080}), json!({"port": 99}));
        let both = said(json!([a, b]), json!(["a", "b"]));
        let now = said(json!([z, a, b]), json!(["c", "a", "b"]));
        assert_eq!(
            patch(both.clone(), both.clone(), now.clone()),
            json!({"spec": {"$setElementOrder/names": ["a", "b"],
                            "$setElementOrder/ports": [a, b]}})
        );
        assert_eq!(patch(both.clone(), both.clone(), both.clone()), json!({}));
        assert_eq!(
            patch(both.clone(), said(json!([x]), json!(["a"])), now.clone()),
            json!({"spec": {
                "$deleteFromPrimitiveList/names": ["b"], "$setElementOrder/names": ["a"],
                "$setElementOrder/ports": [{"port": 80}],
                "ports": [x, {"$patch": "delete", "port": 81}],
            }})
        );
        assert_eq!(
            patch(both, json!({"spec": {"ports": [a]}}), now),
            json!({"spec": {"names": null, "$setElementOrder/ports": [a],
                            "ports": [{"$patch": "delete", "port": 81}]}})
        );
    }

    #[test]
    fn unions_retain_what_is_named() {
        let volume = |kind: &str| json!({"spec": {"volumes": [{"name": "v", kind: {}}]}});
        assert_eq!(
            patch(volume("emptyDir"), volume("secret"), volume("emptyDir")),
            json!({"spec": {"$setElementOrder/volumes": [{"name": "v"}], "volumes": [
                {"name": "v", "secret": {}, "emptyDir": null, "$retainKeys": ["name", "secret"]},
            ]}})
        );
    }

    #[test]
    fn what_others_set_stays() {
        let original = json!({"spec": {"args": [1], "ports": [{"port": 1}], "gone": 1}});
        let modified = json!({"spec": {"args": [2], "ports": [{"port": 2}, {"port": 1}]}});
        let current = json!({"spec": {"args": [1], "ports": [{"port": 3}, {"port": 1, "x": 1}],
                                      "gone": 1, "theirs": true}, "status": {}});
        let patch = patch(original, modified, current.clone());
        let after = apply(current.clone(), &patch, Some(&schema())).unwrap();
        assert_eq!(
            after,
            json!({"spec": {"args": [2], "theirs": true,
                            "ports": [{"port": 2}, {"port": 3}, {"port": 1, "x": 1}]},
                   "status": {}})
        );
        let merge = three_way(&json!({"a": 1}), &json!({"b": [1]}), &current, None).unwrap();
        assert_eq!(merge, json!({"a": null, "b": [1]}));
    }
}
