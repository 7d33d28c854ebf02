//! Pods of a workload are made and deleted, many at a time, each with its Event.
//! Kubernetes: `pkg/controller/controller_utils.go`, RealPodControl, slowStartBatch.

use super::{Flavor, Written};
use crate::client::{ClientError, EventType};
use crate::controllers::def::Context;
use crate::controllers::members::Member;
use crate::meta::{GroupVersionResource, Object};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// Pods that one turn makes or deletes at most; the next turn goes on.
/// Kubernetes: BurstReplicas.
pub(super) const BURST_PODS: usize = 500;

/// The pods.
pub(super) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// The pod of a template: its labels, annotations, finalizers and spec, owned by `owner`.
/// Kubernetes: GetPodFromTemplate.
pub(super) fn pod_of_template(template: &Value, owner: &Object, reference: Value) -> Value {
    let mut metadata = Map::new();
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    metadata.insert(
        "generateName".to_owned(),
        json!(format!("{}-", owner.name())),
    );
    metadata.insert("ownerReferences".to_owned(), json!([reference]));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_default(),
    })
}

/// Makes `count` pods, of which `pod` is that of each index, as [`make_each`] does.
pub(super) async fn make<'a>(
    context: &Context,
    owner: (&Flavor, &Object),
    pod: impl Fn(usize) -> Cow<'a, Value>,
    count: usize,
) -> Result<(), ClientError> {
    make_each(context, owner, count, pod).await.1
}

/// Makes `count` pods: one, then two, four, eight at a time, so that a template that is always
/// refused is refused few times. Answers when all stand in the members how many were made; the first
/// error ends it.
pub(super) async fn make_each<'a>(
    context: &Context,
    (flavor, owner): (&Flavor, &Object),
    count: usize,
    pod: impl Fn(usize) -> Cow<'a, Value>,
) -> (usize, Result<(), ClientError>) {
    let count = count.min(BURST_PODS);
    let (mut begun, mut batch, mut done) = (0, 1, 0);
    let mut newest = 0;
    let mut outcome = Ok(());
    while begun < count && outcome.is_ok() {
        let end = count.min(begun + batch);
        let make = async |place| make_one(context, (flavor, owner), pod(place)).await;
        for made in futures::future::join_all((begun..end).map(make)).await {
            match made {
                Ok(revision) => {
                    newest = revision.max(newest);
                    done += 1;
                }
                Err(error) => outcome = Err(error),
            }
        }
        begun = end;
        batch *= 2;
    }
    let known = catch_up(context, newest, &outcome).await;
    let outcome = match outcome {
        // What is made in a namespace that ends is refused for good: nothing to be tried again.
        Err(ClientError::Api(error)) if error.has_cause("NamespaceTerminating") => Ok(()),
        outcome => outcome,
    };
    (done, known.and(outcome))
}

/// Makes one; answers its revision.
async fn make_one(
    context: &Context,
    (flavor, owner): (&Flavor, &Object),
    pod: Cow<'_, Value>,
) -> Result<u64, ClientError> {
    let namespace = owner.namespace();
    let pods = pods();
    let made = context
        .client
        .create::<Written>(&pods, namespace, None, &*pod);
    let about = || flavor.reference(owner);
    match made.await {
        Ok(made) => {
            let message = format!("Created pod: {}", made.metadata.name);
            context
                .events
                .event(&about(), EventType::Normal, "SuccessfulCreate", message);
            Ok(made.revision())
        }
        Err(error) => {
            let terminating = matches!(&error,
                ClientError::Api(error) if error.has_cause("NamespaceTerminating"));
            if !terminating {
                let message = format!("Error creating: {error}");
                context
                    .events
                    .event(&about(), EventType::Warning, "FailedCreate", message);
            }
            Err(error)
        }
    }
}

/// Deletes pods, all at a time. Answers when the members know it.
pub(super) async fn delete(
    context: &Context,
    owner: (&Flavor, &Object),
    doomed: &[Arc<Member>],
) -> Result<(), ClientError> {
    let doomed = doomed.get(..BURST_PODS).unwrap_or(doomed);
    delete_each(context, owner, doomed).await.1
}

/// Deletes pods as [`delete`] does; answers which of them go.
pub(super) async fn delete_each(
    context: &Context,
    owner: (&Flavor, &Object),
    doomed: &[Arc<Member>],
) -> (Vec<Arc<Member>>, Result<(), ClientError>) {
    let mut going = Vec::with_capacity(doomed.len());
    let mut outcome = Ok(());
    for doomed in doomed.chunks(BURST_PODS) {
        let deleted = doomed
            .iter()
            .map(|member| delete_one(context, owner, member));
        let deleted = futures::future::join_all(deleted).await;
        for (deleted, member) in deleted.into_iter().zip(doomed) {
            match deleted {
                Ok(()) => going.push(member.clone()),
                Err(error) => outcome = Err(error),
            }
        }
    }
    context.caches.pods.going(&going).await;
    let known = catch_up(context, 0, &outcome).await;
    (going, known.and(outcome))
}

async fn delete_one(
    context: &Context,
    (flavor, owner): (&Flavor, &Object),
    member: &Member,
) -> Result<(), ClientError> {
    let (namespace, name) = (&member.key.namespace, &member.key.name);
    let about = || flavor.reference(owner);
    let pods = pods();
    let deleted = context.client.delete(&pods, namespace, name, &Value::Null);
    match deleted.await {
        Ok(_) => {
            let message = format!("Deleted pod: {name}");
            context
                .events
                .event(&about(), EventType::Normal, "SuccessfulDelete", message);
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => {
            let message = format!("Error deleting: {error}");
            context
                .events
                .event(&about(), EventType::Warning, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Waits until the members know of every write up to `newest`; and, when a write may have been done
/// though its answer did not come, until they know all that there is.
pub(super) async fn catch_up(
    context: &Context,
    newest: u64,
    outcome: &Result<(), ClientError>,
) -> Result<(), ClientError> {
    let unsure = match outcome {
        Err(ClientError::Api(error)) => error.code >= 500,
        Err(_) => true,
        Ok(()) => false,
    };
    let mut newest = newest;
    if unsure {
        let query = crate::client::Query::new().with("limit", "1");
        let pods = pods();
        let listed = context
            .client
            .list::<serde::de::IgnoredAny>(&pods, "", &query);
        let revision = listed.await?.metadata.resource_version;
        newest = newest.max(revision.parse().unwrap_or(0));
    }
    context.caches.pods.progress().reached(newest).await;
    Ok(())
}
