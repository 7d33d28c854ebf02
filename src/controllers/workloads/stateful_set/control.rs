//! Pods of a StatefulSet and their claims are made, mended and deleted, each with its Event.
//! Kubernetes: `pkg/controller/statefulset/stateful_pod_control.go`.

use super::{Done, STATEFUL_SET, identity};
use crate::client::{ClientError, EventType};
use crate::controllers::def::Context;
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::{Written, pod_control};
use crate::meta::{ApiError, GroupVersionResource, Object, Reason};
use serde_json::{Value, json};
use std::sync::Arc;

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "persistentvolumeclaims")
}

fn tell(context: &Context, set: &Object, kind: EventType, reason: &str, message: String) {
    let about = STATEFUL_SET.reference(set);
    context.events.event(&about, kind, reason, message);
}

/// Tells what came of a verb (`create`, written `Create` in the reason) on a pod.
fn tell_of_pod<T>(
    context: &Context,
    set: &Object,
    (verb, title): (&str, &str),
    pod: &str,
    outcome: &Result<T, ClientError>,
) {
    let of = format!("{verb} Pod {pod} in StatefulSet {}", set.name());
    match outcome {
        Ok(_) => {
            let reason = format!("Successful{title}");
            tell(
                context,
                set,
                EventType::Normal,
                &reason,
                format!("{of} successful"),
            );
        }
        Err(ClientError::Api(error)) if error.has_cause("NamespaceTerminating") => {}
        Err(error) => {
            let message = format!("{of} failed error: {error}");
            tell(
                context,
                set,
                EventType::Warning,
                &format!("Failed{title}"),
                message,
            );
        }
    }
}

/// Tells that a pod that has ended is made anew.
pub(super) fn tell_recreated(context: &Context, set: &Object, pod: &Member) {
    let (kind, reason, of) = match pod.pod.phase {
        Phase::Succeeded => (EventType::Normal, "RecreatingTerminatedPod", "terminated"),
        _ => (EventType::Warning, "RecreatingFailedPod", "failed"),
    };
    let (namespace, name, pod) = (set.namespace(), set.name(), &pod.key.name);
    let message = format!("StatefulSet {namespace}/{name} is recreating {of} Pod {pod}");
    tell(context, set, kind, reason, message);
}

/// Makes the claims of a number, then its pod.
pub(super) async fn create(
    context: &Context,
    set: &Object,
    ordinal: i64,
    pod: Object,
) -> Result<Done, ClientError> {
    let name = pod.name().to_owned();
    for claim in identity::claims(set, ordinal) {
        let found = read_claim(context, &claim).await?;
        if found.is_some_and(|found| identity::is_stale(set, &name, &found)) {
            return Ok(Done::Stale);
        }
    }
    let made = match claims(context, set, ordinal, (&name, "")).await {
        Ok(()) => {
            let (pods, body) = (pod_control::pods(), pod.into_value());
            let namespace = set.namespace();
            let made = context
                .client
                .create::<Written>(&pods, namespace, None, &body);
            made.await
        }
        Err(error) => Err(error),
    };
    if !made.as_ref().is_err_and(ClientError::is_already_exists) {
        tell_of_pod(context, set, ("create", "Create"), &name, &made);
    }
    match made {
        Ok(written) => {
            // Claims that go with the pod have it among their owners, now that it is known.
            claims(context, set, ordinal, (&name, &written.metadata.uid)).await?;
            Ok(Done::Written(written.revision()))
        }
        // What is made in a namespace that ends is refused for good: nothing to be tried again.
        Err(ClientError::Api(error)) if error.has_cause("NamespaceTerminating") => {
            Ok(Done::Written(0))
        }
        Err(error) => Err(error),
    }
}

/// Deletes a pod.
pub(super) async fn delete(
    context: &Context,
    set: &Object,
    pod: &Arc<Member>,
) -> Result<Done, ClientError> {
    let (namespace, name) = (&pod.key.namespace, &pod.key.name);
    let options = json!({"preconditions": {"uid": &*pod.uid}});
    let pods = pod_control::pods();
    let deleted = context.client.delete(&pods, namespace, name, &options);
    match deleted.await {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(Done::Going(pod.clone())),
        deleted => {
            tell_of_pod(context, set, ("delete", "Delete"), name, &deleted);
            deleted.map(|_| Done::Going(pod.clone()))
        }
    }
}

/// Has a pod bear the labels of its number and mount its claims, and the claims their owners.
pub(super) async fn identity(
    context: &Context,
    set: &Object,
    ordinal: i64,
    member: &Member,
) -> Result<Done, ClientError> {
    let (namespace, name) = (&member.key.namespace, &member.key.name);
    let pods = pod_control::pods();
    let read = context.client.get::<Value>(&pods, namespace, name).await;
    let mut pod = match read {
        Ok(value) => Object::from_value(value).unwrap_or_default(),
        Err(error) if error.is_not_found() => return Ok(Done::Written(0)),
        Err(error) => return Err(error),
    };
    claims(context, set, ordinal, (pod.name(), pod.uid())).await?;
    let mut changed = false;
    if !identity::matches(member) {
        for (label, value) in identity::labels(set, ordinal) {
            pod.set(&["metadata", "labels", label], json!(value));
        }
        changed = true;
    }
    if !identity::has_its_claims(set, ordinal, &pod)
        && let Some(volumes) = identity::volumes(set, ordinal, pod.get(&["spec", "volumes"]))
    {
        pod.set(&["spec", "volumes"], volumes);
        changed = true;
    }
    if !changed {
        return Ok(Done::Written(0));
    }
    let body = pod.into_value();
    let client = &context.client;
    let updated = client
        .update::<Written>(&pods, namespace, name, "", &body)
        .await;
    if !updated.as_ref().is_err_and(ClientError::is_conflict) {
        tell_of_pod(context, set, ("update", "Update"), name, &updated);
    }
    updated.map(|written| Done::Written(written.revision()))
}

async fn read_claim(context: &Context, claim: &Object) -> Result<Option<Object>, ClientError> {
    let (client, name) = (&context.client, claim.name());
    let gvr = resource();
    let read = client.get::<Value>(&gvr, claim.namespace(), name);
    match read.await {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the claims of a number that are missing, and has all belong to whom the set's retention
/// policy says. `pod` is the number's pod: its name and unique id.
pub(super) async fn claims(
    context: &Context,
    set: &Object,
    ordinal: i64,
    (pod, uid): (&str, &str),
) -> Result<(), ClientError> {
    for wanted in identity::claims(set, ordinal) {
        let name = wanted.name().to_owned();
        let found = match read_claim(context, &wanted).await? {
            Some(found) if found.deletion_timestamp().is_some() => {
                let message = format!("pvc {name} is being deleted");
                return Err(ClientError::Api(ApiError::new(Reason::Conflict, message)));
            }
            Some(found) => found,
            None => create_claim(context, set, pod, wanted).await?,
        };
        if let Some(owners) = identity::owners(set, ordinal, (pod, uid), &found) {
            let mut changed = found;
            changed.set(&["metadata", "ownerReferences"], owners);
            let (gvr, namespace, body) = (resource(), set.namespace(), changed.into_value());
            let client = &context.client;
            let updated = client.update::<Value>(&gvr, namespace, &name, "", &body);
            updated.await?;
        }
    }
    Ok(())
}

async fn create_claim(
    context: &Context,
    set: &Object,
    pod: &str,
    claim: Object,
) -> Result<Object, ClientError> {
    let (name, of) = (claim.name().to_owned(), set.name());
    let (gvr, body) = (resource(), claim.into_value());
    let client = &context.client;
    let made = client.create::<Value>(&gvr, set.namespace(), None, &body);
    match made.await {
        Ok(made) => {
            let message = format!("create Claim {name} Pod {pod} in StatefulSet {of} success");
            tell(context, set, EventType::Normal, "SuccessfulCreate", message);
            Ok(Object::from_value(made).unwrap_or_default())
        }
        Err(error) => {
            if !error.is_already_exists() {
                let message = format!(
                    "create Claim {name} for Pod {pod} in StatefulSet {of} failed error: {error}"
                );
                tell(context, set, EventType::Warning, "FailedCreate", message);
            }
            Err(error)
        }
    }
}
