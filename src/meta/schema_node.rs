//! What patches and field ownership must know of a kind: for each place in an object, how its
//! lists and maps merge. `resources` answers from its table (and, for custom resources, from the
//! CustomResourceDefinition); everything here takes `Option<&dyn SchemaNode>`, where `None` means
//! "nothing is known": maps merge by field, lists are replaced as a whole.
//! Must not know any kind.

use serde_json::Value;

/// How server-side apply owns a list (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType<'a> {
    /// As a whole; also where nothing is said.
    #[default]
    Atomic,
    /// Item by item; scalars that are their own keys.
    Set,
    /// Item by item; objects identified by these fields.
    Map(&'a [Box<str>]),
}

/// What kind of value may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// A map or a struct.
    Map,
    /// A list.
    List,
    /// A number.
    Numeric,
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// A number, a string, true or false.
    Scalar,
}

/// A place in an object of some kind.
///
/// A struct answers `field`, a map from strings `map_values`, a list `items`; a scalar answers
/// none of them. The other methods speak of the list, map or struct at this place itself, whether
/// the fact is written at the field or at its type.
pub trait SchemaNode {
    /// A declared field of a struct.
    fn field(&self, name: &str) -> Option<&dyn SchemaNode>;

    /// What every value of a map from strings is.
    fn map_values(&self) -> Option<&dyn SchemaNode>;

    /// What every item of a list is.
    fn items(&self) -> Option<&dyn SchemaNode>;

    /// Whether fields that `field` does not know are errors (a struct that keeps no unknown
    /// fields). Never true for maps.
    fn is_closed(&self) -> bool {
        false
    }

    /// What may stand here.
    fn expected(&self) -> Expected {
        Expected::Anything
    }

    /// How server-side apply owns the list at this place.
    fn list_type(&self) -> ListType<'_> {
        ListType::Atomic
    }

    /// Whether server-side apply owns the map or struct at this place as a whole
    /// (`x-kubernetes-map-type: atomic`).
    fn is_atomic_map(&self) -> bool {
        false
    }

    /// Whether a strategic merge patch merges the list at this place (patch strategy `merge`)
    /// instead of replacing it.
    fn patch_merge(&self) -> bool {
        false
    }

    /// Whether a strategic merge patch replaces the map at this place (patch strategy `replace`)
    /// instead of merging it.
    fn patch_replace(&self) -> bool {
        false
    }

    /// Whether a strategic merge patch that changes the struct at this place (or an item of the
    /// list) names all fields that stay (patch strategy `retainKeys`).
    fn patch_retain_keys(&self) -> bool {
        false
    }

    /// The field that identifies an item of the list at this place in strategic merge patches.
    /// Absent for lists of scalars.
    fn patch_merge_key(&self) -> Option<&str> {
        None
    }

    /// What the server fills in where the field is absent. Asked only of fields that are keys of
    /// associative lists (`protocol` of a port is `TCP`).
    fn default_value(&self) -> Option<Value> {
        None
    }
}

/// The child of `node` that `name` leads to, be it a struct or a map.
pub fn child<'a>(node: Option<&'a dyn SchemaNode>, name: &str) -> Option<&'a dyn SchemaNode> {
    let node = node?;
    node.field(name).or_else(|| node.map_values())
}

#[cfg(test)]
pub(crate) mod testing {
    //! A schema for tests, read from JSON: `fields`, `values`, `items` hold further nodes;
    //! `list` is `"set"` or a list of keys; `atomic`, `closed`, `merge`, `replace` are booleans;
    //! `key` is the patch merge key, `default` a value.

    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Default)]
    pub(crate) struct TestNode {
        fields: BTreeMap<String, TestNode>,
        values: Option<Box<TestNode>>,
        items: Option<Box<TestNode>>,
        set: bool,
        keys: Vec<Box<str>>,
        facts: Value,
    }

    impl TestNode {
        pub(crate) fn new(shape: &Value) -> Self {
            let boxed = |name: &str| shape.get(name).map(|v| Box::new(Self::new(v)));
            let fields = shape.get("fields").and_then(Value::as_object);
            let fields = fields.into_iter().flatten();
            let list = shape.get("list");
            let keys = list.and_then(Value::as_array).into_iter().flatten();
            Self {
                fields: fields.map(|(k, v)| (k.clone(), Self::new(v))).collect(),
                values: boxed("values"),
                items: boxed("items"),
                set: list.and_then(Value::as_str) == Some("set"),
                keys: keys.filter_map(Value::as_str).map(Box::from).collect(),
                facts: shape.clone(),
            }
        }

        fn says(&self, name: &str) -> bool {
            self.facts.get(name).and_then(Value::as_bool) == Some(true)
        }
    }

    impl SchemaNode for TestNode {
        fn field(&self, name: &str) -> Option<&dyn SchemaNode> {
            self.fields.get(name).map(|n| n as &dyn SchemaNode)
        }

        fn map_values(&self) -> Option<&dyn SchemaNode> {
            self.values.as_deref().map(|n| n as &dyn SchemaNode)
        }

        fn items(&self) -> Option<&dyn SchemaNode> {
            self.items.as_deref().map(|n| n as &dyn SchemaNode)
        }

        fn is_closed(&self) -> bool {
            self.says("closed")
        }

        fn list_type(&self) -> ListType<'_> {
            match (self.set, self.keys.as_slice()) {
                (true, _) => ListType::Set,
                (false, []) => ListType::Atomic,
                (false, keys) => ListType::Map(keys),
            }
        }

        fn is_atomic_map(&self) -> bool {
            self.says("atomic")
        }

        fn patch_merge(&self) -> bool {
            self.says("merge")
        }

        fn patch_replace(&self) -> bool {
            self.says("replace")
        }

        fn patch_retain_keys(&self) -> bool {
            self.says("retain")
        }

        fn patch_merge_key(&self) -> Option<&str> {
            self.facts.get("key").and_then(Value::as_str)
        }

        fn default_value(&self) -> Option<Value> {
            self.facts.get("default").cloned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::TestNode;
    use super::*;
    use serde_json::json;

    #[test]
    fn children_of_structs_and_maps() {
        let root = TestNode::new(&json!({
            "closed": true,
            "fields": {"labels": {"values": {}}, "ports": {"list": ["port"], "items": {}}},
        }));
        assert!(root.is_closed());
        let labels = child(Some(&root), "labels");
        assert!(child(labels, "any").is_some());
        assert!(child(Some(&root), "other").is_none());
        let ports = child(Some(&root), "ports").unwrap();
        assert!(matches!(ports.list_type(), ListType::Map([key]) if key.as_ref() == "port"));
        assert!(ports.items().is_some());
    }
}
