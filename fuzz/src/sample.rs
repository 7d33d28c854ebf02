//! Objects made of bytes: of a kind's schema, or of any form. Words are few, so that names meet.

use crate::resources::schema::{Form, ListType, Node, Shape};
use crate::resources::{BUILTINS, ResourceDef};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};

/// Deepest nesting that is made.
const DEPTH_MAX: usize = 8;
/// Most fields, items or entries of one thing.
const ITEMS_MAX: usize = 4;

const WORDS: &[&str] = &[
    "a", "b", "", "a/b~c", "0", "-", "x.io/y", "TCP", "é", "null",
];

/// One of a few words.
pub(crate) fn word(u: &mut Unstructured<'_>) -> Result<&'static str> {
    u.choose(WORDS).copied()
}

/// A row of the table; kinds that patches and apply have most to do with come first.
pub(crate) fn row(u: &mut Unstructured<'_>) -> Result<&'static ResourceDef> {
    let row = |kind: &str| BUILTINS.iter().copied().find(|def| def.kind == kind);
    let first = ["Pod", "Deployment", "Service", "Node", "EndpointSlice"];
    if u.ratio(3, 4)? {
        let kind = u.choose(&first)?;
        return row(kind).ok_or(libfuzzer_sys::arbitrary::Error::IncorrectFormat);
    }
    u.choose(BUILTINS).copied()
}

/// Any JSON value.
pub(crate) fn any(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let kinds = if depth >= DEPTH_MAX { 6 } else { 8 };
    Ok(match u.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<bool>()?),
        2 => json!(u.int_in_range(-2..=2)?),
        3 => json!(u.arbitrary::<i64>()?),
        // Few digits: serde_json reads many of them only nearly (its `float_roundtrip` is off).
        4 => json!(f64::from(u.int_in_range(-8..=8_i32)?) / 4.0),
        5 => json!(word(u)?),
        6 => json!(u.arbitrary::<&str>()?),
        7 => {
            let items = u.int_in_range(0..=ITEMS_MAX)?;
            let items = (0..items).map(|_| any(u, depth + 1));
            Value::Array(items.collect::<Result<_>>()?)
        }
        _ => {
            let mut map = Map::new();
            for _ in 0..u.int_in_range(0..=ITEMS_MAX)? {
                map.insert(word(u)?.to_owned(), any(u, depth + 1)?);
            }
            Value::Object(map)
        }
    })
}

/// What is made of a schema.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// As a careful client sends it: of the right types, items of lists with their keys, no item twice.
    Right,
    /// With wrong types, unknown fields and nulls here and there.
    Wild,
}

/// An object of a kind, named `x`.
pub(crate) fn object(u: &mut Unstructured<'_>, def: &ResourceDef, manner: Manner) -> Result<Value> {
    let mut object = match value(u, def.schema.get().root(), manner, 0)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    object.insert("apiVersion".to_owned(), json!(def.api_version()));
    object.insert("kind".to_owned(), json!(def.kind));
    // Whatever is stored has a name.
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|name, _| {
            matches!(
                name.as_str(),
                "labels" | "annotations" | "finalizers" | "ownerReferences"
            )
        });
        metadata.insert("name".to_owned(), json!("x"));
    }
    Ok(Value::Object(object))
}

/// A value that may stand at a place.
pub(crate) fn value(
    u: &mut Unstructured<'_>,
    node: &Node,
    manner: Manner,
    depth: usize,
) -> Result<Value> {
    if manner == Manner::Wild && u.ratio(1, 16)? {
        return any(u, depth);
    }
    Ok(match &node.shape {
        Shape::Any | Shape::Deduced => json!({"type": word(u)?}),
        Shape::AnyObject(_) => json!({word(u)?: word(u)?}),
        Shape::String(Form::Plain) => json!(word(u)?),
        Shape::String(Form::Bytes) => json!(u.choose(&["", "AAEC"])?),
        Shape::String(Form::Time) => json!("2024-02-29T23:59:59Z"),
        Shape::String(Form::MicroTime) => json!("2024-02-29T23:59:59.123456Z"),
        Shape::Integer(_) => json!(u.int_in_range(-1..=3)?),
        Shape::Number => json!(u.int_in_range(0..=4)?),
        Shape::Boolean => json!(u.arbitrary::<bool>()?),
        Shape::IntOrString => u.choose(&[json!("80%"), json!(1), json!("http")])?.clone(),
        Shape::Quantity => json!(u.choose(&["1", "100m", "1Gi", "0"])?),
        Shape::List(_) | Shape::Map(_) | Shape::Struct(_) if depth >= DEPTH_MAX => {
            return empty(node);
        }
        Shape::List(item) => {
            let mut items = Vec::new();
            let mut seen = Vec::new();
            for _ in 0..u.int_in_range(0..=ITEMS_MAX)? {
                let mut item = value(u, item, manner, depth + 1)?;
                if manner == Manner::Right {
                    let key = identity(u, node, &mut item)?;
                    if seen.contains(&key) {
                        continue;
                    }
                    seen.push(key);
                }
                items.push(item);
            }
            Value::Array(items)
        }
        Shape::Map(values) => {
            let mut map = Map::new();
            for _ in 0..u.int_in_range(0..=ITEMS_MAX)? {
                map.insert(word(u)?.to_owned(), value(u, values, manner, depth + 1)?);
            }
            Value::Object(map)
        }
        Shape::Struct(of) => {
            let fields = &of.body().fields;
            let mut map = Map::new();
            if fields.is_empty() {
                return Ok(Value::Object(map));
            }
            for _ in 0..u.int_in_range(0..=ITEMS_MAX)? {
                let (name, node) = u.choose(fields)?;
                map.insert(name.to_string(), value(u, node, manner, depth + 1)?);
            }
            if manner == Manner::Wild && u.ratio(1, 16)? {
                map.insert(word(u)?.to_owned(), any(u, depth)?);
            }
            Value::Object(map)
        }
    })
}

fn empty(node: &Node) -> Result<Value> {
    Ok(match &node.shape {
        Shape::List(_) => json!([]),
        _ => json!({}),
    })
}

/// What tells an item of a list from the others; fields that it consists of are filled in.
fn identity(u: &mut Unstructured<'_>, list: &Node, item: &mut Value) -> Result<String> {
    let mut keys: Vec<&str> = list.merge.merge_key.iter().map(|key| &**key).collect();
    if let Some(ListType::Map(more)) = &list.merge.list {
        keys.extend(more.iter().map(|key| &**key));
    }
    let Some(map) = item.as_object_mut().filter(|_| !keys.is_empty()) else {
        let merges = list.merge.patch_merge || list.merge.list == Some(ListType::Set);
        return Ok(if merges {
            item.to_string()
        } else {
            u.arbitrary::<u64>()?.to_string()
        });
    };
    let Shape::List(of) = &list.shape else {
        return Ok(String::new());
    };
    let mut identity = String::new();
    for key in keys {
        let node = of.as_struct().and_then(|body| body.field(key));
        if !map.contains_key(key)
            && let Some(node) = node
        {
            map.insert(key.to_owned(), value(u, node, Manner::Right, DEPTH_MAX)?);
        }
        // Alike in the patch's key alone is alike.
        if list
            .merge
            .merge_key
            .as_deref()
            .is_none_or(|merge| merge == key)
        {
            identity.push_str(&map.get(key).map(Value::to_string).unwrap_or_default());
            identity.push(',');
        }
    }
    Ok(identity)
}
