//! JSON patches (RFC 6902) within Kubernetes' limits. Must not know what is patched.
//! Kubernetes: apiserver `jsonPatcher`, whose library lets `test` of a missing field against
//! null pass.

use super::{MAX_COPY_BYTES, MAX_DEPTH, PatchError, depth, size};
use json_patch::{Patch, PatchErrorKind, PatchOperation};
use serde::Deserialize;
use serde_json::Value;

/// Most operations of one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// The names of an operation.
const NAMES: [&str; 4] = ["op", "path", "from", "value"];

/// The document after all operations, or why one of them fails (nothing is half done).
pub fn apply(mut document: Value, patch: &Value) -> Result<Value, PatchError> {
    let Some(operations) = patch.as_array() else {
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type \
             []handlers.jsonPatchOp",
            type_name(patch)
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    for operation in operations {
        let kind = operation.get("op").and_then(Value::as_str).unwrap_or("");
        let known = ["add", "remove", "replace", "move", "copy", "test"];
        if operation.is_object() && !known.contains(&kind) {
            return Err(PatchError::DoesNotFit(format!("Unexpected kind: {kind}")));
        }
    }
    let patch = Patch::deserialize(patch)
        .map_err(|e| PatchError::Malformed(format!("error decoding patch: {e}")))?;
    let mut moved = 0;
    for (index, operation) in patch.0.iter().enumerate() {
        if tests_for_nothing(&document, operation) {
            continue;
        }
        bound(&document, operation, &mut moved)?;
        json_patch::patch_unsafe(&mut document, std::slice::from_ref(operation)).map_err(|e| {
            let path = operation.path();
            PatchError::DoesNotFit(match e.kind {
                PatchErrorKind::TestFailed => format!("testing value {path} failed: test failed"),
                kind => format!("operation {index} at path '{path}': {kind}"),
            })
        })?;
    }
    Ok(document)
}

fn tests_for_nothing(document: &Value, operation: &PatchOperation) -> bool {
    match operation {
        PatchOperation::Test(test) => {
            test.value.is_null() && document.pointer(test.path.as_str()).is_none()
        }
        _ => false,
    }
}

/// Keeps an operation from growing the document without end, in size or in depth.
fn bound(
    document: &Value,
    operation: &PatchOperation,
    moved: &mut usize,
) -> Result<(), PatchError> {
    let (value, counted) = match operation {
        PatchOperation::Add(op) => (Some(&op.value), false),
        PatchOperation::Replace(op) => (Some(&op.value), false),
        PatchOperation::Copy(op) => (document.pointer(op.from.as_str()), true),
        PatchOperation::Move(op) => (document.pointer(op.from.as_str()), true),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => (None, false),
    };
    let Some(value) = value else { return Ok(()) };
    if counted {
        *moved += size(value);
        if *moved > MAX_COPY_BYTES {
            return Err(PatchError::DoesNotFit(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {moved}, \
                 exceeding the limit {MAX_COPY_BYTES}"
            )));
        }
    }
    if operation.path().count() + depth(value) > MAX_DEPTH {
        return Err(PatchError::DoesNotFit(format!(
            "the document would nest deeper than {MAX_DEPTH}"
        )));
    }
    Ok(())
}

/// What a strict reader objects to in the operations: names that none of them has.
pub fn unknown_names(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let mut unknown = Vec::new();
    for (index, operation) in operations {
        let names = operation.as_object().into_iter().flatten();
        for (name, _) in names.filter(|(name, _)| !NAMES.contains(&name.as_str())) {
            unknown.push(format!("unknown field \"[{index}].{name}\""));
        }
    }
    unknown
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_apply_in_order_or_not_at_all() {
        let document = json!({"a": [1, 2], "b": {"c": "x"}});
        let patch = json!([
            {"op": "test", "path": "/b/c", "value": "x"},
            {"op": "test", "path": "/b/nothing", "value": null},
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "replace", "path": "/b/c", "value": "y"},
            {"op": "copy", "from": "/b/c", "path": "/d"},
            {"op": "move", "from": "/b", "path": "/e"},
            {"op": "remove", "path": "/a/0"},
        ]);
        let wanted = json!({"a": [2, 3], "d": "y", "e": {"c": "y"}});
        assert_eq!(apply(document.clone(), &patch).unwrap(), wanted);
    }

    #[test]
    fn refusals() {
        let document = json!({"a": 1});
        let code = |patch: Value| {
            apply(document.clone(), &patch)
                .unwrap_err()
                .to_api_error()
                .code
        };
        assert_eq!(code(json!({"op": "add"})), 400);
        assert_eq!(code(json!([{"op": "foo", "path": "/a"}])), 422);
        assert_eq!(code(json!([{"op": "add", "path": "a", "value": 1}])), 400);
        assert_eq!(code(json!([{"op": "remove", "path": "/x"}])), 422);
        assert_eq!(code(json!([{"op": "test", "path": "/a", "value": 2}])), 422);
        let many = vec![json!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
        let error = apply(document.clone(), &Value::Array(many)).unwrap_err();
        assert_eq!(
            error.to_api_error().message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, \
             got 10001"
        );
    }

    #[test]
    fn copies_cannot_explode() {
        let document = json!({"a": {"x": "0123456789".repeat(100)}});
        let double: Vec<Value> = (0..64)
            .map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")}))
            .collect();
        assert!(matches!(
            apply(document.clone(), &Value::Array(double)),
            Err(PatchError::DoesNotFit(_))
        ));
        let nest: Vec<Value> = (0..300)
            .map(|_| json!({"op": "copy", "from": "/a", "path": "/a/b"}))
            .collect();
        assert!(apply(json!({"a": {"b": {}}}), &Value::Array(nest)).is_err());
    }
}
