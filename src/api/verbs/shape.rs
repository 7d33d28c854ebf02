//! An object, a list or an event in the shape that the client wants: the object itself, a Table row,
//! or its metadata. Must not know media types.
//! Kubernetes: apiserver `endpoints/handlers/response.go`.

use crate::api::codec::Shape;
use crate::api::context::Context;
use crate::meta::{ApiError, Object, Reason};
use crate::resources::{ResourceDef, stored_group};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What a Table row carries beside its cells: `includeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    /// From the query, which only a Table reads; the default is the metadata.
    pub(crate) fn of(context: &Context, shape: Shape) -> Result<Self, ApiError> {
        let Shape::Table(_) = shape else {
            return Ok(Self::Metadata);
        };
        let asked = context.parameter("includeObject").unwrap_or_default();
        match asked.as_str() {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: \
                 {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// How objects are to be shown.
#[derive(Clone, Copy)]
pub(crate) struct Shaper<'a> {
    pub(crate) def: &'a ResourceDef,
    pub(crate) shape: Shape,
    pub(crate) include: IncludeObject,
    pub(crate) now: Timestamp,
}

impl Shaper<'_> {
    /// 406 where a list is to be shown as one object, or one object as a list.
    pub(crate) fn check(&self, list: bool) -> Result<(), ApiError> {
        let text = match (self.shape, list) {
            (Shape::Partial(_), true) => format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({})",
                self.go_type("List")
            ),
            (Shape::Partials(_), false) => format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list \
                 ({})",
                self.go_type("")
            ),
            _ => return Ok(()),
        };
        Err(ApiError::new(Reason::NotAcceptable, text))
    }

    /// The type that Kubernetes has for the objects, as Go prints it.
    fn go_type(&self, suffix: &str) -> String {
        if !self.def.schema.is_typed() {
            return format!("*unstructured.Unstructured{suffix}");
        }
        let group =
            stored_group(&self.def.api_version(), &self.def.kind).unwrap_or(&self.def.group);
        // Events are of the core group whatever they are asked for as.
        let package = match group.split('.').next() {
            None | Some("" | "events") => "core",
            Some(first) => first,
        };
        format!("*{package}.{}{suffix}", self.def.kind)
    }

    /// One object.
    pub(crate) fn one(&self, object: Object) -> Value {
        match self.shape {
            Shape::Object => object.into_value(),
            Shape::Partial(version) | Shape::Partials(version) => partial(object, version),
            Shape::Table(version) => {
                let metadata = list_metadata(object.resource_version());
                self.table(version, vec![object], metadata, true)
            }
        }
    }

    /// A list with its metadata.
    pub(crate) fn list(&self, objects: Vec<Object>, metadata: Value) -> Value {
        match self.shape {
            Shape::Object => {
                let items = objects.into_iter().map(|mut object| {
                    // The items of a typed list do not say what they are.
                    if self.def.schema.is_typed() {
                        object.remove(&["kind"]);
                        object.remove(&["apiVersion"]);
                    }
                    object.into_value()
                });
                json!({
                    "kind": self.def.list_kind,
                    "apiVersion": self.def.api_version(),
                    "metadata": metadata,
                    "items": items.collect::<Vec<Value>>(),
                })
            }
            Shape::Partial(version) | Shape::Partials(version) => {
                let items = objects.into_iter().map(|object| partial(object, version));
                json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": format!("meta.k8s.io/{version}"),
                    "metadata": metadata,
                    "items": items.collect::<Vec<Value>>(),
                })
            }
            Shape::Table(version) => self.table(version, objects, metadata, true),
        }
    }

    /// The object of a watch event; only the first Table of a watch tells its columns.
    pub(crate) fn event(&self, object: Object, first: bool) -> Value {
        match self.shape {
            Shape::Table(version) => {
                let metadata = list_metadata(object.resource_version());
                self.table(version, vec![object], metadata, first)
            }
            _ => self.one(object),
        }
    }

    fn table(&self, version: &str, objects: Vec<Object>, metadata: Value, columns: bool) -> Value {
        let definitions: Vec<Value> = self
            .def
            .columns
            .iter()
            .filter(|_| columns)
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.kind,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            })
            .collect();
        let rows: Vec<Value> = objects
            .into_iter()
            .map(|object| {
                let cells = self.def.row(&object, self.now);
                let mut row = json!({ "cells": cells });
                let shown = match self.include {
                    IncludeObject::None => Value::Null,
                    IncludeObject::Metadata => partial(object, version),
                    IncludeObject::Object => object.into_value(),
                };
                if let Value::Object(row) = &mut row {
                    row.insert("object".to_owned(), shown);
                }
                row
            })
            .collect();
        json!({
            "kind": "Table",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": metadata,
            "columnDefinitions": if columns { json!(definitions) } else { Value::Null },
            "rows": rows,
        })
    }
}

/// `metadata` of a list at a revision.
pub(crate) fn list_metadata(resource_version: &str) -> Value {
    json!({ "resourceVersion": resource_version })
}

fn partial(mut object: Object, version: &str) -> Value {
    let metadata = object.remove(&["metadata"]).unwrap_or_else(|| json!({}));
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
    })
}
