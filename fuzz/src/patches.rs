//! The three patch forms.

use crate::meta::patch::{MAX_COPY_BYTES, MAX_DEPTH, depth, json, merge, strategic};
use crate::sample::{self, Manner};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

/// Most operations of a JSON patch.
const OPERATIONS_MAX: usize = 12;

/// Longest path.
const STEPS_MAX: usize = 6;

/// A JSON patch changes nothing it does not say, and does not grow a document without end.
pub fn patch_json(data: &[u8]) {
    let _ = try_json(&mut Unstructured::new(data));
}

fn try_json(u: &mut Unstructured<'_>) -> Result<()> {
    let document = sample::any(u, 0)?;
    let mut operations = Vec::new();
    for _ in 0..u.int_in_range(0..=OPERATIONS_MAX)? {
        let mut operation = json!({
            "op": u.choose(&["add", "remove", "replace", "move", "copy", "test", ""])?,
            "path": place(u, &document)?,
        });
        if u.ratio(3, 4)? {
            operation["value"] = sample::any(u, 4)?;
        }
        if u.ratio(1, 2)? {
            operation["from"] = json!(place(u, &document)?);
        }
        operations.push(operation);
    }
    let before = document.to_string().len();
    let patch = Value::Array(operations);
    let (deep, asked) = (depth(&document), patch.to_string().len());
    let Ok(after) = json::apply(document, &patch) else {
        return Ok(());
    };
    assert!(depth(&after) <= MAX_DEPTH.max(deep), "too deep");
    let most = before + asked + 2 * MAX_COPY_BYTES;
    assert!(after.to_string().len() <= most, "too large");
    let test = json!([{"op": "test", "path": "", "value": after}]);
    assert_eq!(json::apply(after.clone(), &test).ok(), Some(after));
    Ok(())
}

/// A path, most often one that leads somewhere.
fn place(u: &mut Unstructured<'_>, document: &Value) -> Result<String> {
    let mut path = String::new();
    let mut at = document;
    for _ in 0..u.int_in_range(0..=STEPS_MAX)? {
        let step = match at {
            Value::Object(map) if !map.is_empty() && u.ratio(7, 8)? => {
                let step = u.choose_index(map.len())?;
                let Some((name, next)) = map.iter().nth(step) else {
                    break;
                };
                at = next;
                name.replace('~', "~0").replace('/', "~1")
            }
            Value::Array(items) if u.ratio(7, 8)? => {
                let step = u.int_in_range(0..=items.len())?;
                at = items.get(step).unwrap_or(&Value::Null);
                u.choose(&[
                    step.to_string(),
                    "-".to_owned(),
                    "-1".to_owned(),
                    "00".to_owned(),
                ])?
                .clone()
            }
            _ => sample::word(u)?.to_owned(),
        };
        path.push('/');
        path.push_str(&step);
    }
    Ok(path)
}

/// A merge patch twice is the patch once, and the patch between two documents leads from one to the
/// other.
pub fn patch_merge(data: &[u8]) {
    let _ = try_merge(&mut Unstructured::new(data));
}

fn try_merge(u: &mut Unstructured<'_>) -> Result<()> {
    let (document, patch) = (sample::any(u, 0)?, sample::any(u, 0)?);
    if let Ok(once) = merge::apply(document.clone(), &patch) {
        assert_eq!(merge::apply(once.clone(), &patch).ok(), Some(once));
    }
    let (from, to) = (without_null(document), without_null(patch));
    if let Ok(patch) = strategic::three_way(&from, &to, &from, None) {
        let found = merge::apply(from, &patch).expect("a patch of our own applies");
        assert_eq!(found, to, "by {patch}");
    }
    Ok(())
}

/// Fields that are null cannot be told by a patch.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.into_iter().filter(|(_, value)| !value.is_null());
            fields
                .map(|(name, value)| (name, without_null(value)))
                .collect()
        }
        other => other,
    }
}

/// The strategic patch that leads from one object of a kind to another does, and no patch, however
/// senseless, does harm.
pub fn patch_strategic(data: &[u8]) {
    let _ = try_strategic(&mut Unstructured::new(data));
}

fn try_strategic(u: &mut Unstructured<'_>) -> Result<()> {
    let def = sample::row(u)?;
    let schema = def.schema.get().root();
    if u.ratio(1, 2)? {
        let document = sample::object(u, def, Manner::Wild)?;
        let mut patch = sample::object(u, def, Manner::Wild)?;
        directives(u, &mut patch)?;
        if let Ok(after) = strategic::apply(document, &patch, Some(schema)) {
            assert!(depth(&after) <= MAX_DEPTH);
        }
        return Ok(());
    }
    let from = sample::object(u, def, Manner::Right)?;
    let to = sample::object(u, def, Manner::Right)?;
    let patch = strategic::three_way(&from, &to, &from, Some(schema)).expect("both are right");
    let found = strategic::apply(from.clone(), &patch, Some(schema));
    let found = found.unwrap_or_else(|why| panic!("{why}\n{from}\n{to}\n{patch}"));
    assert_eq!(found, to, "from {from} by {patch}");
    let again = strategic::three_way(&to, &to, &found, Some(schema)).expect("both are right");
    assert_eq!(again, json!({}), "nothing is left to do");
    Ok(())
}

/// Writes directives into a patch.
fn directives(u: &mut Unstructured<'_>, at: &mut Value) -> Result<()> {
    match at {
        Value::Object(map) => {
            for value in map.values_mut() {
                directives(u, value)?;
            }
            if u.ratio(1, 8)? {
                let names: Vec<String> = map.keys().cloned().collect();
                let name = if names.is_empty() {
                    "a"
                } else {
                    u.choose(&names)?.as_str()
                };
                let (key, value) = match u.int_in_range(0..=4)? {
                    0 => (
                        "$patch".to_owned(),
                        json!(u.choose(&["delete", "replace", "merge", "x"])?),
                    ),
                    1 => ("$retainKeys".to_owned(), json!([name])),
                    2 => (format!("$setElementOrder/{name}"), sample::any(u, 5)?),
                    3 => (
                        format!("$deleteFromPrimitiveList/{name}"),
                        json!([sample::word(u)?]),
                    ),
                    _ => ("$patch".to_owned(), sample::any(u, 6)?),
                };
                map.insert(key, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                directives(u, item)?;
            }
        }
        _ => {}
    }
    Ok(())
}
