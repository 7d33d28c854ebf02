//! How the lists of a kind merge: from the table for kinds that wkube knows, else from the server's
//! OpenAPI. A kind for which neither says that it takes strategic patches has none. Must not know
//! patches.

use crate::cli::context::CliError;
use crate::cli::discovery::ApiResource;
use crate::client::Client;
use crate::meta::SchemaNode;
use crate::resources::Scheme;
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The facts of a kind.
pub(crate) enum Facts {
    Table(Arc<crate::resources::Schema>),
    OpenApi(Node),
}

impl Facts {
    pub(crate) fn root(&self) -> &dyn SchemaNode {
        match self {
            Self::Table(schema) => schema.root(),
            Self::OpenApi(node) => node,
        }
    }
}

/// The facts of a row's kind, for the places that `values` have.
pub(crate) async fn of(
    client: &Client,
    row: &ApiResource,
    values: &[&Value],
) -> Result<Option<Facts>, CliError> {
    let (api_version, kind) = (row.resource.api_version(), &row.kind);
    if let Some(def) = Scheme::builtin().by_api_version(&api_version, kind) {
        return Ok(Some(Facts::Table(def.schema.get().clone())));
    }
    let prefix = if row.resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    let path = format!("/openapi/v3/{prefix}/{api_version}");
    let document = match client.call(Method::GET, &path, None).await {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes).map_err(CliError::new)?,
        // A server from before OpenAPI v3: what is sent merges as JSON does.
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(facts_of(&document, row, values).map(Facts::OpenApi))
}

fn facts_of(document: &Value, row: &ApiResource, values: &[&Value]) -> Option<Node> {
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    let of_kind = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        text("kind") == Some(&row.kind)
            && text("group") == Some(&row.resource.group)
            && text("version") == Some(&row.resource.version)
    };
    const KIND: &str = "x-kubernetes-group-version-kind";
    let takes_strategic = document.get("paths")?.as_object()?.values().any(|path| {
        let patch = path.get("patch");
        patch.is_some_and(|patch| {
            let body = patch.pointer("/requestBody/content");
            patch.get(KIND).is_some_and(of_kind) && body.is_some_and(|b| b.get(STRATEGIC).is_some())
        })
    });
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    let schema = schemas.values().find(|schema| {
        let kinds = schema.get(KIND).and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(of_kind))
    })?;
    takes_strategic.then(|| Node::of(document, schema, values))
}

/// A place in the kind, made only where the values have something.
#[derive(Debug, Default)]
pub(crate) struct Node {
    fields: BTreeMap<String, Node>,
    items: Option<Box<Node>>,
    strategy: String,
    merge_key: Option<String>,
}

impl Node {
    fn of(document: &Value, schema: &Value, values: &[&Value]) -> Self {
        let mut node = Self::default();
        node.learn(schema);
        let schema = resolved(document, schema);
        node.learn(schema);
        let mut names: Vec<&String> = Vec::new();
        for value in values {
            names.extend(value.as_object().into_iter().flat_map(|map| map.keys()));
        }
        for name in names {
            let inner = schema.get("properties").and_then(|p| p.get(name));
            let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) else {
                continue;
            };
            let below: Vec<&Value> = values.iter().filter_map(|v| v.get(name)).collect();
            let below = Self::of(document, inner, &below);
            node.fields.insert(name.clone(), below);
        }
        if let Some(items) = schema.get("items") {
            let lists = values.iter().filter_map(|value| value.as_array());
            let below: Vec<&Value> = lists.flatten().collect();
            node.items = Some(Box::new(Self::of(document, items, &below)));
        }
        node
    }

    fn learn(&mut self, schema: &Value) {
        let text = |name: &str| schema.get(name).and_then(Value::as_str);
        if let Some(strategy) = text("x-kubernetes-patch-strategy") {
            strategy.clone_into(&mut self.strategy);
        }
        if let Some(key) = text("x-kubernetes-patch-merge-key") {
            self.merge_key = Some(key.to_owned());
        }
    }

    fn strategy_has(&self, word: &str) -> bool {
        self.strategy.split(',').any(|part| part == word)
    }
}

/// What a schema refers to: `$ref` itself, or alone in `allOf`.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema
        .get("$ref")
        .or_else(|| schema.pointer("/allOf/0/$ref"))
        .and_then(Value::as_str);
    let target = reference
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| document.pointer(pointer));
    target.unwrap_or(schema)
}

impl SchemaNode for Node {
    fn field(&self, name: &str) -> Option<&dyn SchemaNode> {
        self.fields.get(name).map(|node| node as &dyn SchemaNode)
    }

    fn map_values(&self) -> Option<&dyn SchemaNode> {
        None
    }

    fn items(&self) -> Option<&dyn SchemaNode> {
        self.items.as_deref().map(|node| node as &dyn SchemaNode)
    }

    fn patch_merge(&self) -> bool {
        self.strategy_has("merge")
    }

    fn patch_replace(&self) -> bool {
        self.strategy_has("replace")
    }

    fn patch_retain_keys(&self) -> bool {
        self.strategy_has("retainKeys")
    }

    fn patch_merge_key(&self) -> Option<&str> {
        self.merge_key.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_are_read_where_values_stand() {
        let document = json!({"components": {"schemas": {"Spec": {"properties": {"ports": {
            "x-kubernetes-patch-strategy": "merge,retainKeys",
            "x-kubernetes-patch-merge-key": "port",
            "items": {"allOf": [{"$ref": "#/components/schemas/Spec"}]},
        }}}}}});
        let schema = json!({"properties": {"spec": {"$ref": "#/components/schemas/Spec"}}});
        let value = json!({"spec": {"ports": [{"ports": [1]}]}, "other": 1});
        let node = Node::of(&document, &schema, &[&value]);
        let ports = node.field("spec").unwrap().field("ports").unwrap();
        assert!(ports.patch_merge() && ports.patch_retain_keys());
        assert_eq!(ports.patch_merge_key(), Some("port"));
        assert!(ports.items().unwrap().field("ports").is_some());
        assert!(node.field("other").is_none());
    }
}
