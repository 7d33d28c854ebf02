//! The size of what has one: asked of its subresource `scale`, whatever its kind is, custom ones
//! included. Must not know what is done with it.
//! Kubernetes: client-go `scale`.

use crate::client::{Client, ClientError};
use crate::meta::{ApiError, GroupVersionResource, Object, ObjectKey, Reason};
use http::Method;
use serde_json::Value;

/// An object that has a size: API version, kind, name in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scaled {
    /// `apps/v1`.
    pub(crate) api_version: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// Namespace and name.
    pub(crate) key: ObjectKey,
}

/// What is asked of discovery only for kinds that are not here.
const KNOWN: &[(&str, &str, &str)] = &[
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "StatefulSet", "statefulsets"),
];

/// The resource of a kind, as the server tells; none if it has none of that kind.
pub(crate) async fn resource_of(
    client: &Client,
    api_version: &str,
    kind: &str,
) -> Result<Option<GroupVersionResource>, ClientError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvr = |plural: &str| GroupVersionResource::new(group, version, plural);
    let known = |one: &&(&str, &str, &str)| (one.0, one.1) == (api_version, kind);
    if let Some((_, _, plural)) = KNOWN.iter().find(known) {
        return Ok(Some(gvr(plural)));
    }
    let root = if group.is_empty() { "api" } else { "apis" };
    let path = format!("/{root}/{api_version}");
    let document = match client.call(Method::GET, &path, None).await {
        Ok(document) => document,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let document: Value = serde_json::from_slice(&document)
        .map_err(|error| ClientError::Transport(format!("{path}: {error}")))?;
    let resources = document.get("resources").and_then(Value::as_array);
    let names = resources.into_iter().flatten().filter_map(|one| {
        let text = |field: &str| one.get(field).and_then(Value::as_str);
        text("name").filter(|name| text("kind") == Some(kind) && !name.contains('/'))
    });
    Ok(names.map(gvr).next())
}

impl Scaled {
    /// Its resource.
    pub(crate) async fn resource(
        &self,
        client: &Client,
    ) -> Result<GroupVersionResource, ClientError> {
        let found = resource_of(client, &self.api_version, &self.kind).await?;
        found.ok_or_else(|| {
            let (group, _) = self.api_version.split_once('/').unwrap_or_default();
            let message = format!("no matches for kind {:?} in group {group:?}", self.kind);
            ClientError::Api(ApiError::new(Reason::NotFound, message))
        })
    }

    /// Its `Scale`.
    pub(crate) async fn read(
        &self,
        client: &Client,
        resource: &GroupVersionResource,
    ) -> Result<Object, ClientError> {
        let (namespace, name) = (&self.key.namespace, &self.key.name);
        let path = Client::path(resource, namespace, name, "scale");
        let answer = client.call(Method::GET, &path, None).await?;
        let value: Value = serde_json::from_slice(&answer)
            .map_err(|error| ClientError::Transport(format!("{path}: {error}")))?;
        Ok(Object::from_value(value).unwrap_or_default())
    }
}
