//! Definitions of types: from nodes to JSON schemas, with what they refer to. Must not know paths.

use super::enums::{self, Enumeration, Place};
use super::{Form, custom, definition_name};
use crate::resources::def::ResourceDef;
use crate::resources::schema::{
    Form as Text, ListType, Merge, Node, Raw, Schema, Shape, Struct, StructRef,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// The extension that tells which kinds a definition is.
pub(super) const GVK: &str = "x-kubernetes-group-version-kind";

/// Definitions as they are needed.
pub(super) struct Definitions {
    form: Form,
    made: BTreeMap<String, Value>,
    open: Vec<Arc<StructRef>>,
}

impl Definitions {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            made: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// All definitions, with everything they refer to.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        while let Some(named) = self.open.pop() {
            let value = self.structure(&named.name, named.body());
            self.made.insert(named.name.clone(), value);
        }
        self.made.into_iter().collect()
    }

    /// Adds a kind and its list; answers the names of both.
    pub(super) fn kind(&mut self, def: &ResourceDef) -> (String, String) {
        let name = definition_name(def);
        let mut value = match def.schema.definition() {
            Some(defined) => {
                let every = self.of_every_object();
                custom::definition(defined.written(), self.form, &every)
            }
            None => match &def.schema.get().root().shape {
                Shape::Struct(named) => self.structure(&named.name, named.body()),
                _ => json!({"type": "object"}),
            },
        };
        extend(&mut value, GVK, json!([gvk(def, &def.kind)]));
        self.made.insert(name.clone(), value);
        let list = self.list(def, &name);
        (name, list)
    }

    fn list(&mut self, def: &ResourceDef, item: &str) -> String {
        let end = item.len() - item.rsplit('.').next().unwrap_or_default().len();
        let name = format!("{}{}", item.get(..end).unwrap_or_default(), def.list_kind);
        let metadata = self.of_type::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>();
        let every = self.of_every_object();
        let list = json!({
            "description": format!("{} is a list of {}.", def.list_kind, def.plural),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": every.get("apiVersion"),
                "items": {
                    "description": format!("List of {}", def.plural),
                    "type": "array",
                    "items": self.reference(item, ""),
                },
                "kind": every.get("kind"),
                "metadata": self.reference(&metadata, "Standard list metadata."),
            },
            GVK: [gvk(def, &def.list_kind)],
        });
        self.made.insert(name.clone(), list);
        name
    }

    /// The fields that every object has, in the words of a built-in kind.
    fn of_every_object(&mut self) -> Map<String, Value> {
        let schema = Schema::of::<k8s_openapi::api::core::v1::ConfigMap>();
        let Shape::Struct(named) = &schema.root().shape else {
            return Map::new();
        };
        let fields = ["apiVersion", "kind", "metadata"].into_iter();
        let fields = fields.filter_map(|name| Some((name, named.body().field(name)?)));
        fields
            .map(|(name, field)| (name.to_owned(), self.node(field)))
            .collect()
    }

    /// Adds a type that is no row's kind; answers its name.
    pub(super) fn of_type<T: JsonSchema>(&mut self) -> String {
        let name = T::schema_name().into_owned();
        if !self.made.contains_key(&name)
            && let Shape::Struct(named) = &Schema::of::<T>().root().shape
        {
            self.need(named);
        }
        name
    }

    /// Adds a type that may be any object.
    pub(super) fn open_object(&mut self, name: &str) {
        let mut value = json!({"type": "object"});
        if let Some(words) = words_of_open(name) {
            extend(&mut value, "description", words);
        }
        self.made.insert(name.to_owned(), value);
    }

    /// Marks a definition that is made already with the kinds it is.
    pub(super) fn mark(&mut self, name: &str, kinds: Vec<Value>) {
        // The type may still be waiting to be made.
        if let Some(at) = self.open.iter().position(|open| open.name == name) {
            let named = self.open.swap_remove(at);
            let value = self.structure(&named.name, named.body());
            self.made.insert(named.name.clone(), value);
        }
        if let Some(value) = self.made.get_mut(name) {
            extend(value, GVK, Value::Array(kinds));
        }
    }

    /// A reference with a description.
    pub(super) fn reference(&self, name: &str, description: &str) -> Value {
        let reference = self.form.reference(name);
        match (self.form, description) {
            (_, "") => json!({"$ref": reference}),
            (Form::V2, words) => json!({"$ref": reference, "description": words}),
            (Form::V3, words) => json!({
                "allOf": [{"$ref": reference}],
                "default": {},
                "description": words,
            }),
        }
    }

    fn need(&mut self, named: &Arc<StructRef>) {
        if !self.made.contains_key(&named.name) {
            self.made.insert(named.name.clone(), Value::Null);
            self.open.push(Arc::clone(named));
        }
    }

    fn structure(&mut self, type_name: &str, body: &Struct) -> Value {
        let enums = enums::of(type_name);
        let mut properties = Map::new();
        for (name, node) in &body.fields {
            let mut value = self.node(node);
            if let Some(enumeration) = enums.and_then(|enums| enums.get(name.as_ref())) {
                enumerate(&mut value, *enumeration);
            }
            properties.insert(name.to_string(), value);
        }
        let mut value = json!({ "type": "object" });
        if !body.description.is_empty() {
            extend(&mut value, "description", json!(body.description));
        }
        if !properties.is_empty() {
            extend(&mut value, "properties", Value::Object(properties));
        }
        if !body.required.is_empty() {
            extend(&mut value, "required", json!(body.required));
        }
        if body.atomic {
            extend(&mut value, "x-kubernetes-map-type", json!("atomic"));
        }
        value
    }

    fn node(&mut self, node: &Node) -> Value {
        let words = node.description.as_ref();
        let mut value = match &node.shape {
            Shape::Struct(named) if !named.name.is_empty() => {
                self.need(named);
                self.reference(&named.name, words)
            }
            Shape::Struct(named) => self.structure(&named.name, named.body()),
            Shape::Quantity => self.scalar(QUANTITY, words),
            Shape::IntOrString => self.scalar(INT_OR_STRING, words),
            Shape::String(Text::Time) => self.scalar(&format!("{META}.Time"), words),
            Shape::String(Text::MicroTime) => self.scalar(&format!("{META}.MicroTime"), words),
            Shape::AnyObject(Raw::Extension) => self.scalar(RAW_EXTENSION, words),
            Shape::AnyObject(Raw::Fields) => self.scalar(&format!("{META}.FieldsV1"), words),
            Shape::AnyObject(Raw::Unnamed) => {
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
            }
            Shape::Any | Shape::Deduced => json!({"x-kubernetes-preserve-unknown-fields": true}),
            Shape::String(Text::Bytes) => json!({"type": "string", "format": "byte"}),
            Shape::String(Text::Plain) => json!({"type": "string"}),
            Shape::Integer(true) => json!({"type": "integer", "format": "int64"}),
            Shape::Integer(false) => json!({"type": "integer", "format": "int32"}),
            Shape::Number => json!({"type": "number", "format": "double"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::List(item) => json!({"type": "array", "items": self.node(item)}),
            Shape::Map(item) => json!({"type": "object", "additionalProperties": self.node(item)}),
        };
        if !words.is_empty() && value.get("description").is_none() {
            extend(&mut value, "description", json!(words));
        }
        merge_facts(&mut value, node);
        value
    }

    /// A scalar that has a definition of its own.
    fn scalar(&mut self, name: &str, words: &str) -> Value {
        if !self.made.contains_key(name) {
            let mut value = match (name, self.form) {
                (QUANTITY, Form::V2) => json!({"type": "string"}),
                (QUANTITY, Form::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
                (INT_OR_STRING, Form::V2) => json!({"type": "string", "format": "int-or-string"}),
                (INT_OR_STRING, Form::V3) => json!({
                    "oneOf": [{"type": "integer"}, {"type": "string"}],
                    "format": "int-or-string",
                }),
                (name, _) if name.ends_with("Time") => {
                    json!({"type": "string", "format": "date-time"})
                }
                _ => json!({"type": "object"}),
            };
            if let Some(words) = words_of_open(name) {
                extend(&mut value, "description", words);
            }
            self.made.insert(name.to_owned(), value);
        }
        match (self.form, words) {
            // A default of {} would be no scalar.
            (Form::V3, words) if !words.is_empty() => json!({
                "allOf": [{"$ref": self.form.reference(name)}],
                "description": words,
            }),
            _ => self.reference(name, words),
        }
    }
}

/// What k8s-openapi says of a scalar or an open object that has a definition of its own.
fn words_of_open(name: &str) -> Option<Value> {
    use k8s_openapi::apimachinery::pkg::{api, apis::meta::v1 as meta, runtime, util};
    let mut types = SchemaGenerator::default();
    let schema = match name.rsplit('.').next()? {
        "Quantity" => api::resource::Quantity::json_schema(&mut types),
        "IntOrString" => util::intstr::IntOrString::json_schema(&mut types),
        "RawExtension" => runtime::RawExtension::json_schema(&mut types),
        "Time" => meta::Time::json_schema(&mut types),
        "MicroTime" => meta::MicroTime::json_schema(&mut types),
        "FieldsV1" => meta::FieldsV1::json_schema(&mut types),
        "Patch" => meta::Patch::json_schema(&mut types),
        _ => return None,
    };
    schema.get("description").cloned()
}

/// Writes which values a field may have.
fn enumerate(value: &mut Value, enumeration: Enumeration) {
    let values: Value = enumeration.values().collect();
    if enumeration.place == Place::Field {
        let words = value.get("description").and_then(Value::as_str);
        let words = words.unwrap_or_default().to_owned() + &enumeration.words();
        extend(value, "description", json!(words));
        extend(value, "enum", values);
        return;
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = value.get_mut(name) {
            extend(inner, "enum", values.clone());
        }
    }
}

fn merge_facts(value: &mut Value, node: &Node) {
    let Merge {
        list, merge_key, ..
    } = &node.merge;
    let is_list = matches!(node.shape, Shape::List(_));
    match list {
        Some(ListType::Map(keys)) => {
            extend(value, "x-kubernetes-list-map-keys", json!(keys));
            extend(value, "x-kubernetes-list-type", json!("map"));
        }
        Some(ListType::Set) => extend(value, "x-kubernetes-list-type", json!("set")),
        Some(ListType::Atomic) if is_list => {
            extend(value, "x-kubernetes-list-type", json!("atomic"));
        }
        _ => {}
    }
    if node.merge.atomic && !is_list {
        extend(value, "x-kubernetes-map-type", json!("atomic"));
    }
    if let Some(default) = &node.merge.default {
        extend(value, "default", json!(default));
    }
    if let Some(key) = merge_key {
        extend(value, "x-kubernetes-patch-merge-key", json!(key));
    }
    let strategy = node.merge.patch_strategy();
    if !strategy.is_empty() {
        extend(value, "x-kubernetes-patch-strategy", json!(strategy));
    }
}

fn extend(value: &mut Value, name: &str, with: Value) {
    if let Value::Object(map) = value {
        map.insert(name.to_owned(), with);
    }
}

/// A kind as the extension writes it.
pub(super) fn gvk(def: &ResourceDef, kind: &str) -> Value {
    json!({"group": def.group, "kind": kind, "version": def.version})
}
