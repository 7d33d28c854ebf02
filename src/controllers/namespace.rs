//! namespace-controller: a namespace that is to go is emptied, kind by kind, and released when
//! nothing is left in it.
//! Kubernetes: `pkg/controller/namespace/deletion`.

use crate::client::{Client, ClientError, Query, Versions, discover};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// The finalizer that this controller takes away.
const FINALIZER: &str = "kubernetes";
/// How long to wait before it is looked again whether what was deleted is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "namespace-controller",
    account: Some("namespace-controller"),
    watches: &[Watched {
        resource: ("", "v1", "namespaces"),
        fields: "",
        key: |object| object.deletion_timestamp().is_some().then(|| object.key()),
    }],
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// What is to be done with a namespace.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It stays, or another finalizer holds it.
    Nothing,
    /// Delete what is in it.
    Empty,
    /// Nothing is left in it: let it go.
    Release,
}

/// Decide. `left` is how many objects are still in it, `None` if that was not looked at yet.
fn plan(namespace: &Object, left: Option<usize>) -> Plan {
    let finalizers = namespace
        .get(&["spec", "finalizers"])
        .and_then(Value::as_array);
    let ours = finalizers.is_some_and(|list| list.iter().any(|f| f == FINALIZER));
    match left {
        _ if namespace.deletion_timestamp().is_none() || !ours => Plan::Nothing,
        Some(0) => Plan::Release,
        _ => Plan::Empty,
    }
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.client;
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let read = async || match client.get::<Value>(&namespaces, "", &key.name).await {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    };
    let Some(mut namespace) = read().await? else {
        return Ok(Next::Wait);
    };
    if plan(&namespace, None) == Plan::Nothing {
        return Ok(Next::Wait);
    }
    let mut left = 0;
    for resource in deletable(client).await? {
        left += empty(client, &resource, &key.name).await?;
    }
    if plan(&namespace, Some(left)) != Plan::Release {
        return Ok(Next::After(LOOK_AGAIN));
    }
    if let Some(Value::Array(finalizers)) = namespace.remove(&["spec", "finalizers"]) {
        let others: Vec<Value> = finalizers.into_iter().filter(|f| f != FINALIZER).collect();
        namespace.set(&["spec", "finalizers"], json!(others));
    }
    let body = namespace.into_value();
    match client
        .update::<Value>(&namespaces, "", &key.name, "finalize", &body)
        .await
    {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(Next::Wait),
    }
}

/// Deletes all objects of a resource in the namespace; answers how many there were.
async fn empty(
    client: &Client,
    resource: &GroupVersionResource,
    namespace: &str,
) -> Result<usize, ClientError> {
    let listed = client
        .list::<Value>(resource, namespace, &Query::new())
        .await?;
    if !listed.items.is_empty() {
        let path = Client::path(resource, namespace, "", "");
        client.call(Method::DELETE, &path, None).await?;
    }
    Ok(listed.items.len())
}

/// All resources that can be in a namespace and be deleted from it, custom ones included.
async fn deletable(client: &Client) -> Result<Vec<GroupVersionResource>, ClientError> {
    let served = discover(client, Versions::Preferred).await?;
    let own = served.into_iter().filter(|resource| {
        resource.namespaced
            && !resource.is_view()
            && resource.has("deletecollection")
            && resource.has("list")
    });
    Ok(own.map(|resource| resource.resource).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_emptied_then_released() {
        let mut namespace = Object::default();
        namespace.set(&["spec", "finalizers"], json!(["kubernetes"]));
        assert_eq!(plan(&namespace, None), Plan::Nothing);
        namespace.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:00Z"),
        );
        assert_eq!(plan(&namespace, None), Plan::Empty);
        assert_eq!(plan(&namespace, Some(2)), Plan::Empty);
        assert_eq!(plan(&namespace, Some(0)), Plan::Release);
        namespace.set(&["spec", "finalizers"], json!(["example.com/other"]));
        assert_eq!(plan(&namespace, Some(0)), Plan::Nothing);
    }
}
