//! From a JSON schema to nodes, once: types that kinds share are kept once for all. Built-in
//! shapes come from the types of k8s-openapi, custom ones from their CustomResourceDefinition.

use super::facts;
use super::node::{Form, ListType, Merge, Node, Raw, Shape, Struct, StructRef};
use crate::resources::wire;
use parking_lot::Mutex;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const DEFINITIONS: &str = "#/$defs/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Built-in types by full name. They are as many as the API has, and live as long as the process.
static TYPES: Mutex<BTreeMap<String, Arc<StructRef>>> = Mutex::new(BTreeMap::new());

/// The shape of a built-in kind.
pub(super) fn builtin(generate: fn(&mut SchemaGenerator) -> schemars::Schema) -> Node {
    let mut generator = SchemaGenerator::default();
    let root = Value::from(generate(&mut generator));
    let definitions = generator.take_definitions(true);
    known(definitions, &root)
}

/// The shape of a kind that is written down; `base` makes the types that it refers to known.
pub(super) fn written(
    base: fn(&mut SchemaGenerator) -> schemars::Schema,
    package: &str,
    kind: &str,
    text: &str,
) -> Node {
    builtin(base);
    let package = format!("{package}.");
    let definitions = serde_json::from_str(&text.replace("~.", &package));
    let root = json!({ "$ref": format!("{DEFINITIONS}{package}{kind}") });
    // What is no JSON would be a kind without fields; a test asks every row for its own.
    known(definitions.unwrap_or_default(), &root)
}

/// Adds types to those that are known already; answers the node of `root`.
fn known(definitions: Map<String, Value>, root: &Value) -> Node {
    let mut types = TYPES.lock();
    let fresh: Vec<(String, Value)> = definitions
        .into_iter()
        .filter(|(name, _)| !types.contains_key(name))
        .collect();
    for (name, _) in &fresh {
        types.insert(name.clone(), Arc::new(StructRef::named(name)));
    }
    let compact = Compact {
        types: Some(&types),
    };
    for (name, schema) in &fresh {
        if let (Some(named), Value::Object(schema)) = (types.get(name), schema) {
            let _ = named.body.set(compact.structure(name, schema));
        }
    }
    compact.node(root)
}

/// The shape of a custom resource, from a structural schema: what the schema says, and what every
/// object has.
pub(super) fn structural(schema: &Value) -> Node {
    let empty = Map::new();
    let map = schema.as_object().unwrap_or(&empty);
    Node {
        description: Box::default(),
        shape: Compact { types: None }.custom_object(map, true),
        merge: merge_of(map),
        leaves_out_zero: false,
    }
}

struct Compact<'a> {
    types: Option<&'a BTreeMap<String, Arc<StructRef>>>,
}

impl Compact<'_> {
    fn node(&self, schema: &Value) -> Node {
        let empty = Map::new();
        let map = schema.as_object().unwrap_or(&empty);
        Node {
            // What custom kinds are described by stands in their definition.
            description: match self.types {
                Some(_) => text(map, "description").into(),
                None => Box::default(),
            },
            shape: self.shape(map),
            merge: merge_of(map),
            leaves_out_zero: false,
        }
    }

    fn shape(&self, schema: &Map<String, Value>) -> Shape {
        if let Some(name) = text_of(schema, "$ref").and_then(|r| r.strip_prefix(DEFINITIONS)) {
            return self.named(name);
        }
        if flag(schema, "x-kubernetes-int-or-string") {
            return Shape::IntOrString;
        }
        match text(schema, "type") {
            "string" => Shape::String(match text(schema, "format") {
                "byte" => Form::Bytes,
                // A custom resource's times are plain strings with a check.
                "date-time" if self.types.is_some() => Form::Time,
                _ => Form::Plain,
            }),
            "integer" => Shape::Integer(text(schema, "format") != "int32"),
            "number" => Shape::Number,
            "boolean" => Shape::Boolean,
            "array" => Shape::List(Box::new(self.node(member(schema, "items")))),
            "object" => self.object(schema),
            _ if flag(schema, "x-kubernetes-preserve-unknown-fields") => Shape::Deduced,
            _ => Shape::Any,
        }
    }

    /// An object of a custom kind; embedded, it has metadata of its own.
    fn custom_object(&self, schema: &Map<String, Value>, embedded: bool) -> Shape {
        let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let mut body = self.structure("", schema);
        body.open = open;
        match schema.get("additionalProperties") {
            Some(item @ Value::Object(_)) if body.fields.is_empty() && !embedded => {
                return Shape::Map(Box::new(self.node(item)));
            }
            Some(Value::Bool(true) | Value::Object(_)) => body.open = true,
            _ => {}
        }
        if embedded {
            let has = |name: &str| matches!(name, "apiVersion" | "kind" | "metadata");
            body.fields.retain(|(name, _)| !has(name));
            for name in ["apiVersion", "kind"] {
                body.fields
                    .push((name.into(), plain(Shape::String(Form::Plain))));
            }
            body.fields.push(("metadata".into(), metadata()));
            body.fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let named = StructRef::named("");
        let _ = named.body.set(body);
        Shape::Struct(Arc::new(named))
    }

    fn object(&self, schema: &Map<String, Value>) -> Shape {
        if self.types.is_none() {
            let embedded = flag(schema, "x-kubernetes-embedded-resource");
            return self.custom_object(schema, embedded);
        }
        if flag(schema, "x-kubernetes-preserve-unknown-fields")
            || flag(schema, "x-kubernetes-embedded-resource")
        {
            return Shape::AnyObject(Raw::Unnamed);
        }
        match (schema.get("properties"), schema.get("additionalProperties")) {
            (None, Some(Value::Bool(true))) => Shape::AnyObject(Raw::Unnamed),
            (None, Some(item @ Value::Object(_))) => Shape::Map(Box::new(self.node(item))),
            _ => {
                let named = StructRef::named("");
                let _ = named.body.set(self.structure("", schema));
                Shape::Struct(Arc::new(named))
            }
        }
    }

    fn named(&self, name: &str) -> Shape {
        match name.rsplit('.').next().unwrap_or_default() {
            "Quantity" => return Shape::Quantity,
            "IntOrString" => return Shape::IntOrString,
            "RawExtension" => return Shape::AnyObject(Raw::Extension),
            "FieldsV1" => return Shape::AnyObject(Raw::Fields),
            "JSON"
            | "JSONSchemaPropsOrArray"
            | "JSONSchemaPropsOrBool"
            | "JSONSchemaPropsOrStringArray" => return Shape::Any,
            "Time" if name.starts_with(META) => return Shape::String(Form::Time),
            "MicroTime" if name.starts_with(META) => return Shape::String(Form::MicroTime),
            _ => {}
        }
        match self.types.and_then(|types| types.get(name)) {
            Some(named) => Shape::Struct(Arc::clone(named)),
            None => Shape::Any,
        }
    }

    fn structure(&self, name: &str, schema: &Map<String, Value>) -> Struct {
        let facts = facts::of(name);
        let message = wire_name(name);
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut fields: Vec<(Box<str>, Node)> = properties
            .into_iter()
            .flatten()
            .map(|(field, schema)| {
                let mut node = self.node(schema);
                if let Some(merge) = facts.and_then(|facts| facts.get(field.as_str())) {
                    node.merge = merge.clone();
                }
                node.leaves_out_zero = wire::table().leaves_out_zero(message, field);
                (field.as_str().into(), node)
            })
            .collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        let required = schema.get("required").and_then(Value::as_array);
        let mut required = strings(required);
        // The types of k8s-openapi always have their metadata; Kubernetes does not ask for it.
        if self.types.is_some() && properties.is_some_and(|p| p.contains_key("apiVersion")) {
            required.retain(|field| field.as_ref() != "metadata");
        }
        Struct {
            description: match self.types {
                Some(_) => text(schema, "description").to_owned(),
                None => String::new(),
            },
            fields,
            required,
            atomic: facts.is_some_and(|facts| facts.contains_key(".")),
            open: false,
        }
    }
}

/// `core.v1.PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn wire_name(name: &str) -> &str {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    dots.nth(2)
        .and_then(|at| name.get(at + 1..))
        .unwrap_or(name)
}

/// The merge facts that a custom resource's schema carries itself.
fn merge_of(schema: &Map<String, Value>) -> Merge {
    let keys = schema.get("x-kubernetes-list-map-keys");
    Merge {
        list: match text(schema, "x-kubernetes-list-type") {
            "atomic" => Some(ListType::Atomic),
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map(strings(keys.and_then(Value::as_array)))),
            _ => None,
        },
        atomic: text(schema, "x-kubernetes-map-type") == "atomic",
        default: schema
            .get("default")
            .and_then(Value::as_str)
            .map(Into::into),
        ..Merge::default()
    }
}

/// The metadata of every object.
fn metadata() -> Node {
    let shape = crate::resources::apiextensions::structural::metadata::shape();
    shape.root().clone()
}

fn plain(shape: Shape) -> Node {
    Node {
        description: Box::default(),
        shape,
        merge: Merge::default(),
        leaves_out_zero: false,
    }
}

fn strings(list: Option<&Vec<Value>>) -> Vec<Box<str>> {
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(Into::into).collect()
}

fn text_of<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

fn text<'a>(schema: &'a Map<String, Value>, name: &str) -> &'a str {
    text_of(schema, name).unwrap_or_default()
}

fn flag(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn member<'a>(schema: &'a Map<String, Value>, name: &str) -> &'a Value {
    schema.get(name).unwrap_or(&Value::Null)
}
