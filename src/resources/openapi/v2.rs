//! OpenAPI v2: one document for all. Old clients read nothing else. Must not know HTTP.

use super::definitions::Definitions;
use super::{Form, paths};
use crate::resources::scheme::Scheme;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::{Map, Value, json};

/// The document; `served` is the version of Kubernetes that is served.
pub fn document(scheme: &Scheme, served: &str) -> Value {
    let mut definitions = Definitions::new(Form::V2);
    let mut paths = Map::new();
    for def in scheme.iter() {
        let (kind, list) = definitions.kind(def);
        paths::add(&mut paths, Form::V2, def, &paths::Names { kind, list });
    }
    shared(&mut definitions, scheme);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": served},
        "paths": paths,
        "definitions": definitions.finish(),
        "securityDefinitions": {"BearerToken": {
            "type": "apiKey", "name": "authorization", "in": "header",
            "description": "Bearer Token authentication",
        }},
        "security": [{"BearerToken": []}],
    })
}

/// Types that every document refers to.
pub(super) fn shared(definitions: &mut Definitions, scheme: &Scheme) {
    let mut kinds: Vec<Value> = Vec::new();
    // What custom kinds come and go does not change the documents of the others.
    for group in scheme.without_custom().groups() {
        for version in &group.versions {
            kinds.push(json!({
                "group": group.group, "kind": "DeleteOptions", "version": version,
            }));
        }
    }
    let name = definitions.of_type::<meta::DeleteOptions>();
    definitions.mark(&name, kinds);
    let name = definitions.of_type::<meta::Status>();
    definitions.mark(
        &name,
        vec![json!({"group": "", "kind": "Status", "version": "v1"})],
    );
    definitions.open_object("io.k8s.apimachinery.pkg.apis.meta.v1.Patch");
}
