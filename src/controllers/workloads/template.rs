//! Templates of pods: whether two are the same, and the short name of one. Pure.
//! Kubernetes: `pkg/controller/controller_utils.go` ComputeHash, `k8s.io/apimachinery/pkg/util/rand`
//! SafeEncodeString. The names look the same and are not: Kubernetes hashes how Go prints the
//! structure, wkube the JSON of the template, which is stored with its defaults and sorted here.

use serde_json::Value;
use std::fmt::Write as _;

/// The label that tells apart the pods of a Deployment's templates.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// What names are made of: no vowels, so no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The FNV-1a hash of 32 bits.
fn fnv(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let step = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    bytes.into_iter().fold(2_166_136_261, step)
}

/// The short name of a template; another one after each collision.
pub(super) fn hash(template: &Value, collisions: Option<i64>) -> String {
    let mut text = String::new();
    sorted(template, &mut text);
    let count = collisions.map(|count| count.to_le_bytes());
    let number = fnv(text.bytes().chain(count.into_iter().flatten()));
    let letter = |digit: u8| {
        let place = usize::from(digit) % ALPHABET.len();
        ALPHABET.get(place).copied().map_or('b', char::from)
    };
    number.to_string().bytes().map(letter).collect()
}

/// JSON with its fields in order: the order in which a client wrote them means nothing.
fn sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            out.push('{');
            for name in names {
                let _ = write!(out, "{name:?}:");
                sorted(fields.get(name).unwrap_or(&Value::Null), out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// Whether two templates are the same but for [`HASH_LABEL`].
pub(super) fn equal_but_hash(one: &Value, other: &Value) -> bool {
    if one.get("spec") != other.get("spec") {
        return false;
    }
    let metadata = |template: &Value| {
        let mut metadata = template.get("metadata").cloned().unwrap_or_default();
        if let Some(fields) = metadata.as_object_mut() {
            if let Some(labels) = fields.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove(HASH_LABEL);
            }
            // An empty list or map is as good as none.
            fields.retain(|_, value| match value {
                Value::Null => false,
                Value::Object(map) => !map.is_empty(),
                Value::Array(items) => !items.is_empty(),
                _ => true,
            });
        }
        metadata.as_object().cloned().unwrap_or_default()
    };
    metadata(one) == metadata(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_is_of_what_a_template_says_not_of_its_order() {
        let one = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": [1, 2]}});
        let same: Value =
            serde_json::from_str(r#"{"spec":{"x":[1,2]},"metadata":{"labels":{"a":"b"}}}"#)
                .unwrap();
        assert_eq!(hash(&one, None), hash(&same, None));
        assert_ne!(hash(&one, None), hash(&one, Some(1)));
        let other = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": [2, 1]}});
        assert_ne!(hash(&one, None), hash(&other, None));
        assert!(hash(&one, None).bytes().all(|b| ALPHABET.contains(&b)));
    }

    #[test]
    fn the_label_of_the_hash_makes_no_other_template() {
        let plain = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}});
        let named =
            json!({"metadata": {"labels": {"a": "b", "pod-template-hash": "x"}}, "spec": {}});
        assert!(equal_but_hash(&plain, &named));
        let other = json!({"metadata": {"labels": {"a": "c"}}, "spec": {}});
        assert!(!equal_but_hash(&plain, &other));
    }
}
