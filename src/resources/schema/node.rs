//! The types of a shape: compact, shared between kinds, and the same for built-in and custom
//! resources. Must not know how a shape is used.

use crate::meta::SchemaNode;
use crate::meta::schema_node::{self, Expected};
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A place in an object: what may stand there, and how it merges.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the field is for; empty for items of lists and maps.
    pub description: Box<str>,
    /// What may stand there.
    pub shape: Shape,
    /// How it merges.
    pub merge: Merge,
    /// Whether a zero (`""`, 0, false) is the same as nothing.
    pub leaves_out_zero: bool,
}

/// What may stand at a place.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Anything, kept as it is.
    Any,
    /// Anything, of which the value itself tells how it merges.
    Deduced,
    /// Any object, kept as it is (a raw extension, a field set).
    AnyObject(Raw),
    /// A string.
    String(Form),
    /// A whole number; `true` for 64 bits, else 32.
    Integer(bool),
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A 32-bit number or a string.
    IntOrString,
    /// An amount, such as `100m`.
    Quantity,
    /// A list of items.
    List(Box<Node>),
    /// A map from strings.
    Map(Box<Node>),
    /// An object with named fields.
    Struct(Arc<StructRef>),
}

/// Which open object a shape is; decides only its name in OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// `runtime.RawExtension`.
    Extension,
    /// `meta.v1.FieldsV1`.
    Fields,
    /// An object without a name.
    Unnamed,
}

/// What a string holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Plain,
    /// Base64.
    Bytes,
    /// An RFC 3339 time in seconds.
    Time,
    /// An RFC 3339 time in microseconds.
    MicroTime,
}

/// A named type, which is filled in after it is named because types may contain themselves.
pub struct StructRef {
    /// Full name, for example `io.k8s.api.core.v1.PodSpec`; empty for the structs of custom
    /// resources.
    pub name: String,
    pub(super) body: OnceLock<Struct>,
}

impl StructRef {
    /// A name without a body yet.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            body: OnceLock::new(),
        }
    }

    /// Fields and the rest.
    pub fn body(&self) -> &Struct {
        static EMPTY: Struct = Struct {
            description: String::new(),
            fields: Vec::new(),
            required: Vec::new(),
            atomic: false,
            open: false,
        };
        self.body.get().unwrap_or(&EMPTY)
    }

    /// `PodSpec` of `io.k8s.api.core.v1.PodSpec`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    /// `v1.PodSpec`, as the decoder's messages name it.
    pub fn versioned_name(&self) -> &str {
        let dots = self.name.rmatch_indices('.');
        match dots.map(|(at, _)| at).nth(1) {
            Some(at) => self.name.get(at + 1..).unwrap_or(&self.name),
            None => &self.name,
        }
    }
}

impl fmt::Debug for StructRef {
    /// The name alone: bodies may contain themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An object with named fields.
#[derive(Debug, Default)]
pub struct Struct {
    /// What it is.
    pub description: String,
    /// Fields, sorted by name.
    pub fields: Vec<(Box<str>, Node)>,
    /// Names of fields that must be given.
    pub required: Vec<Box<str>>,
    /// Whether appliers own it as a whole.
    pub atomic: bool,
    /// Whether it keeps fields that are not named here.
    pub open: bool,
}

impl Struct {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Node> {
        let at = self
            .fields
            .binary_search_by(|(field, _)| field.as_ref().cmp(name));
        at.ok().and_then(|at| self.fields.get(at)).map(|(_, n)| n)
    }

    /// Whether the field must be given.
    pub fn requires(&self, name: &str) -> bool {
        self.required.iter().any(|field| field.as_ref() == name)
    }
}

/// How a list is owned and merged by server-side apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// As a whole; also where nothing is said.
    #[default]
    Atomic,
    /// Item by item; items are their own keys.
    Set,
    /// Item by item; these fields of an item are its key.
    Map(Vec<Box<str>>),
}

/// How a field merges: facts of the API that its types do not carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// For lists, server-side apply; `None` where the API publishes nothing.
    pub list: Option<ListType>,
    /// For maps and structs: owned as a whole.
    pub atomic: bool,
    /// Strategic merge: merged, not replaced.
    pub patch_merge: bool,
    /// Strategic merge: a map is replaced, not merged.
    pub patch_replace: bool,
    /// Strategic merge: only the keys of the patch are kept.
    pub retain_keys: bool,
    /// Strategic merge: the field that identifies an item.
    pub merge_key: Option<Box<str>>,
    /// What is filled in where a key of an associative list is absent.
    pub default: Option<Box<str>>,
}

impl Merge {
    /// The value of `x-kubernetes-patch-strategy`, empty if there is none.
    pub fn patch_strategy(&self) -> &'static str {
        match (self.patch_merge, self.retain_keys) {
            _ if self.patch_replace => "replace",
            (true, true) => "merge,retainKeys",
            (true, false) => "merge",
            (false, true) => "retainKeys",
            (false, false) => "",
        }
    }
}

impl Node {
    /// The struct at this place.
    pub fn as_struct(&self) -> Option<&Struct> {
        match &self.shape {
            Shape::Struct(named) => Some(named.body()),
            _ => None,
        }
    }
}

/// What patches and field ownership ask.
impl SchemaNode for Node {
    fn field(&self, name: &str) -> Option<&dyn SchemaNode> {
        let node = self.as_struct()?.field(name)?;
        Some(node)
    }

    fn map_values(&self) -> Option<&dyn SchemaNode> {
        match &self.shape {
            Shape::Map(item) => Some(item.as_ref()),
            _ => None,
        }
    }

    fn items(&self) -> Option<&dyn SchemaNode> {
        match &self.shape {
            Shape::List(item) => Some(item.as_ref()),
            _ => None,
        }
    }

    fn is_closed(&self) -> bool {
        matches!(&self.shape, Shape::Struct(named) if !named.body().open)
    }

    fn expected(&self) -> Expected {
        match &self.shape {
            Shape::Any | Shape::Deduced => Expected::Anything,
            Shape::AnyObject(_) | Shape::Map(_) | Shape::Struct(_) => Expected::Map,
            Shape::List(_) => Expected::List,
            Shape::Integer(_) | Shape::Number => Expected::Numeric,
            Shape::Boolean => Expected::Boolean,
            Shape::String(Form::Plain | Form::Bytes) => Expected::String,
            Shape::String(Form::Time | Form::MicroTime) | Shape::IntOrString | Shape::Quantity => {
                Expected::Scalar
            }
        }
    }

    fn list_type(&self) -> schema_node::ListType<'_> {
        match &self.merge.list {
            None | Some(ListType::Atomic) => schema_node::ListType::Atomic,
            Some(ListType::Set) => schema_node::ListType::Set,
            Some(ListType::Map(keys)) => schema_node::ListType::Map(keys),
        }
    }

    fn is_atomic_map(&self) -> bool {
        match &self.shape {
            Shape::Struct(named) => self.merge.atomic || named.body().atomic,
            Shape::Map(_) => self.merge.atomic,
            // What has no shape is owned as a whole.
            Shape::Any | Shape::AnyObject(_) => true,
            _ => false,
        }
    }

    fn patch_merge(&self) -> bool {
        self.merge.patch_merge
    }

    fn patch_replace(&self) -> bool {
        self.merge.patch_replace
    }

    fn patch_retain_keys(&self) -> bool {
        self.merge.retain_keys
    }

    fn patch_merge_key(&self) -> Option<&str> {
        self.merge.merge_key.as_deref()
    }

    fn default_value(&self) -> Option<Value> {
        self.merge.default.as_deref().map(Value::from)
    }
}
