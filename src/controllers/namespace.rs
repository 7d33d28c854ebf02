//! namespace-controller: a namespace that is to go is emptied, kind by kind, and released when
//! nothing is left in it.
//! Kubernetes: `pkg/controller/namespace/deletion`.

use crate::client::{Client, ClientError, Query, Versions, discover};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
    listen: None,
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
    let left = empty_all(client, &key.name).await?;
    if plan(&namespace, Some(left.count())) != Plan::Release {
        if tell(&mut namespace, &left, context.clock.now()) {
            let body = namespace.into_value();
            let told = client.update::<Value>(&namespaces, "", &key.name, "status", &body);
            told.await?;
        }
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

/// What is still in a namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    /// Objects by resource: `pods.`, `deployments.apps`.
    resources: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    fn count(&self) -> usize {
        self.resources.values().sum()
    }
}

/// Deletes all that is in a namespace: first its pods, and when they are gone what they may need.
async fn empty_all(client: &Client, namespace: &str) -> Result<Left, ClientError> {
    let mut left = Left::default();
    let pods = GroupVersionResource::new("", "v1", "pods");
    empty(client, &pods, namespace, &mut left).await?;
    if left.count() > 0 {
        return Ok(left);
    }
    for resource in deletable(client).await? {
        empty(client, &resource, namespace, &mut left).await?;
    }
    Ok(left)
}

/// Deletes all objects of a resource in the namespace, and counts those that are still there.
async fn empty(
    client: &Client,
    resource: &GroupVersionResource,
    namespace: &str,
    left: &mut Left,
) -> Result<(), ClientError> {
    let list = async || {
        let query = Query::new();
        let listed = client.list::<Value>(resource, namespace, &query).await?;
        Ok::<_, ClientError>(listed.items)
    };
    if list().await?.is_empty() {
        return Ok(());
    }
    let path = Client::path(resource, namespace, "", "");
    client.call(Method::DELETE, &path, None).await?;
    let remaining = list().await?;
    if remaining.is_empty() {
        return Ok(());
    }
    let name = format!("{}.{}", resource.resource, resource.group);
    left.resources.insert(name, remaining.len());
    for object in remaining.into_iter().filter_map(Object::from_value) {
        for finalizer in object.finalizers() {
            *left.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    Ok(())
}

/// Says in the conditions why the namespace is still there; answers whether that is new.
fn tell(namespace: &mut Object, left: &Left, now: Timestamp) -> bool {
    let each = |map: &BTreeMap<String, usize>, verb: &str| {
        let parts = map
            .iter()
            .map(|(name, count)| format!("{name} {verb} {count} resource instances"));
        parts.collect::<Vec<_>>().join(", ")
    };
    let (mut content, mut finalizers) = (
        (
            false,
            "ContentRemoved",
            "All content successfully removed".to_owned(),
        ),
        (
            false,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        ),
    );
    if !left.resources.is_empty() {
        let which = each(&left.resources, "has");
        content = (
            true,
            "SomeResourcesRemain",
            format!("Some resources are remaining: {which}"),
        );
    }
    if !left.finalizers.is_empty() {
        let which = each(&left.finalizers, "in");
        let text = format!("Some content in the namespace has finalizers remaining: {which}");
        finalizers = (true, "SomeFinalizersRemain", text);
    }
    let fine = |reason, text: &str| (false, reason, text.to_owned());
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            fine(
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            fine(
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
        ),
        (
            "NamespaceDeletionContentFailure",
            fine(
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    let before = namespace.get(&["status", "conditions"]);
    let mut list = before
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut changed = false;
    for (kind, (status, reason, message)) in conditions {
        let status = if status { "True" } else { "False" };
        let old = list
            .iter_mut()
            .find(|c| c.get("type") == Some(&json!(kind)));
        let same = |old: &Value, field: &str, value: &str| old.get(field) == Some(&json!(value));
        if old.as_ref().is_some_and(|old| {
            same(old, "status", status)
                && same(old, "reason", reason)
                && same(old, "message", &message)
        }) {
            continue;
        }
        changed = true;
        let kept = old.as_ref().filter(|old| same(old, "status", status));
        let since = kept.and_then(|old| old.get("lastTransitionTime")).cloned();
        let new = json!({
            "type": kind,
            "status": status,
            "lastTransitionTime": since.unwrap_or_else(|| json!(rfc3339(now))),
            "reason": reason,
            "message": message,
        });
        match old {
            Some(old) => *old = new,
            None => list.push(new),
        }
    }
    namespace.set(&["status", "conditions"], Value::Array(list));
    changed
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
    fn what_holds_a_namespace_is_told_once() {
        let mut namespace = Object::default();
        let left = Left {
            resources: [("pods.".to_owned(), 2), ("deployments.apps".to_owned(), 1)].into(),
            finalizers: [("example.com/hold".to_owned(), 2)].into(),
        };
        let at = |text: &str| text.parse().unwrap();
        assert!(tell(&mut namespace, &left, at("2026-01-01T00:00:00Z")));
        assert!(!tell(&mut namespace, &left, at("2026-01-01T00:00:01Z")));
        let told = |namespace: &Object, index: usize| {
            let list = namespace.get(&["status", "conditions"]).unwrap();
            let text = |name: &str| list[index][name].as_str().unwrap().to_owned();
            (text("reason"), text("message"), text("lastTransitionTime"))
        };
        assert_eq!(
            told(&namespace, 3).1,
            "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 \
             resource instances"
        );
        assert_eq!(
            told(&namespace, 4).1,
            "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource \
             instances"
        );
        assert!(tell(
            &mut namespace,
            &Left::default(),
            at("2026-01-01T00:00:02Z")
        ));
        let (reason, _, since) = told(&namespace, 3);
        assert_eq!(
            (&*reason, &*since),
            ("ContentRemoved", "2026-01-01T00:00:02Z")
        );
        assert_eq!(told(&namespace, 0).2, "2026-01-01T00:00:00Z");
    }

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
