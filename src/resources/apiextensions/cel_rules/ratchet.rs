//! What of an object is as it was: errors there are only warned of. Must not know rules.
//! Kubernetes: apiserver `pkg/cel/common/equality.go`, `ratchetingOptions`.

use serde_json::{Map, Value as Json};

use super::{additional, kind};

/// A value, the old value that it belongs to, and its schema.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    new: &'a Json,
    old: &'a Json,
    schema: &'a Json,
}

impl<'a> Pair<'a> {
    /// A whole object and the one it replaces.
    pub(super) fn new(new: &'a Json, old: &'a Json, schema: &'a Json) -> Self {
        Self { new, old, schema }
    }

    fn key(&self, name: &str) -> Option<Self> {
        let property = self.schema.get("properties").and_then(|all| all.get(name));
        Some(Self {
            new: self.new.as_object()?.get(name)?,
            old: self.old.as_object()?.get(name)?,
            schema: property.or_else(|| additional(self.schema))?,
        })
    }

    fn index(&self, index: usize) -> Option<Self> {
        let new = self.new.as_array()?.get(index)?;
        Some(Self {
            new,
            old: with_same_keys(self.old.as_array()?, new, &list_keys(self.schema))?,
            schema: self.schema.get("items")?,
        })
    }

    /// Whether nothing changed, in the order that the schema gives lists a meaning in.
    fn same(&self) -> bool {
        match (self.new, self.old) {
            (Json::Array(new), Json::Array(old)) => {
                if new.len() != old.len() {
                    return false;
                }
                if list_keys(self.schema).is_empty() {
                    return new == old;
                }
                (0..new.len()).all(|at| self.index(at).is_some_and(|pair| pair.same()))
            }
            (Json::Object(new), Json::Object(old)) => {
                new.len() == old.len()
                    && new
                        .keys()
                        .all(|name| self.key(name).is_some_and(|pair| pair.same()))
            }
            (new, old) => new == old,
        }
    }
}

/// The keys of a list that is a map.
fn list_keys(schema: &Json) -> Vec<String> {
    let list_type = schema.get("x-kubernetes-list-type").and_then(Json::as_str);
    if kind(schema) != "array" || list_type != Some("map") {
        return Vec::new();
    }
    let keys = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Json::as_array);
    let keys = keys.into_iter().flatten().filter_map(Json::as_str);
    keys.map(str::to_owned).collect()
}

/// The first item that has the same keys as another.
pub(super) fn with_same_keys<'a>(
    items: &'a [Json],
    like: &Json,
    keys: &[String],
) -> Option<&'a Json> {
    fn scalar<'a>(item: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
        item.get(key)
            .filter(|v| v.is_string() || v.is_number() || v.is_boolean())
    }
    let like = like.as_object()?;
    if keys.is_empty() {
        return None;
    }
    items.iter().find(|item| {
        item.as_object().is_some_and(|item| {
            keys.iter().all(|key| {
                let wanted = scalar(like, key);
                wanted.is_some() && scalar(item, key) == wanted
            })
        })
    })
}

/// Where a walk stands: at a value with an old one, or below the last that had one.
#[derive(Clone, Copy, Default)]
pub(super) struct Ratchet<'a> {
    current: Option<Pair<'a>>,
    parent: Option<Pair<'a>>,
}

impl<'a> Ratchet<'a> {
    /// At an object that replaces another.
    pub(super) fn at(pair: Pair<'a>) -> Self {
        Self {
            current: Some(pair),
            parent: None,
        }
    }

    pub(super) fn key(self, name: &str) -> Self {
        match self.current {
            None => self,
            // Both old and new are of one version when they are compared.
            Some(_) if self.parent.is_none() && matches!(name, "apiVersion" | "kind") => {
                Self::default()
            }
            Some(pair) => Self {
                current: pair.key(name),
                parent: Some(pair),
            },
        }
    }

    pub(super) fn index(self, index: usize) -> Self {
        match self.current {
            None => self,
            Some(pair) => Self {
                current: pair.index(index),
                parent: Some(pair),
            },
        }
    }

    /// Inside `allOf`, where only what is above counts.
    pub(super) fn above(self) -> Self {
        Self {
            current: None,
            parent: self.parent,
        }
    }

    /// Whether errors here are only warned of.
    pub(super) fn unchanged(&self) -> bool {
        self.current.or(self.parent).is_some_and(|pair| pair.same())
    }
}
