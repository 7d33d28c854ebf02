//! OpenAPI v3: one document a group and version, and the index of them. Must not know HTTP.

use super::definitions::Definitions;
use super::{Form, paths, v2};
use crate::resources::scheme::Scheme;
use serde_json::{Map, Value, json};

/// The documents there are: path below `/openapi/v3/`, group and version.
pub fn documents(scheme: &Scheme) -> Vec<(String, String, String)> {
    let mut list = Vec::new();
    for group in scheme.groups() {
        for version in group.versions {
            let path = match group.group.as_str() {
                "" => format!("api/{version}"),
                name => format!("apis/{name}/{version}"),
            };
            list.push((path, group.group.clone(), version));
        }
    }
    list
}

/// The answer to `/openapi/v3`: where each document is. `hash_of` gives a text that changes with
/// the document, so that clients may keep it.
pub fn index(scheme: &Scheme, hash_of: impl Fn(&str) -> String) -> Value {
    let paths: Map<String, Value> = documents(scheme)
        .into_iter()
        .map(|(path, ..)| {
            let url = format!("/openapi/v3/{path}?hash={}", hash_of(&path));
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The document of a group and version; `served` is the version of Kubernetes that is served.
pub fn document(scheme: &Scheme, group: &str, version: &str, served: &str) -> Value {
    let mut definitions = Definitions::new(Form::V3);
    let mut paths = Map::new();
    for def in scheme.group_version(group, version) {
        let (kind, list) = definitions.kind(def);
        paths::add(&mut paths, Form::V3, def, &paths::Names { kind, list });
    }
    v2::shared(&mut definitions, scheme);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": served},
        "paths": paths,
        "components": {
            "schemas": definitions.finish(),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header",
                "description": "Bearer Token authentication",
            }},
        },
    })
}
