//! Merge patches (RFC 7386): maps merge, null removes, all else replaces.

use super::PatchError;
use serde_json::Value;

/// The document after the patch, which must be a map.
pub fn apply(mut document: Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("Invalid JSON Patch".to_owned()));
    }
    json_patch::merge(&mut document, patch);
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn merges_and_removes() {
        let document = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [3]});
        let wanted = json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3]});
        assert_eq!(apply(document.clone(), &patch).unwrap(), wanted);
        assert!(apply(document, &json!([])).is_err());
    }

    proptest! {
        #[test]
        fn twice_is_once(keys in proptest::collection::btree_map("[ab]", 0..3, 0..3)) {
            let patch: Value = keys.into_iter().map(|(k, v)| (k, json!(v))).collect();
            let once = apply(json!({"a": {"b": 1}}), &patch).unwrap();
            prop_assert_eq!(apply(once.clone(), &patch).unwrap(), once);
        }
    }
}
