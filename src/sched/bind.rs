//! What the scheduler writes: the binding, the condition of a pod that fits nowhere, the events.

use crate::client::{
    Client, ClientError, EventRecorder, EventType, HasMeta, ObjectReference, PatchKind,
};
use crate::meta::GroupVersionResource;
use crate::meta::time::rfc3339;
use crate::sched::view::PodView;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The reference that events about a pod carry.
pub(crate) fn reference(pod: &PodView) -> ObjectReference {
    ObjectReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.metadata.own.namespace.clone(),
        name: pod.metadata.own.name.clone(),
        uid: pod.metadata.own.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Binds `pod` to `node` and says so.
pub(crate) async fn bind(
    client: &Client,
    events: &EventRecorder,
    pod: &PodView,
    node: &str,
) -> Result<(), ClientError> {
    let key = pod.key();
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": pod.metadata.own.uid },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let at = Some((key.name.as_str(), "binding"));
    client
        .create::<Value>(&pods(), &key.namespace, at, &binding)
        .await?;
    let message = format!("Successfully assigned {key} to {node}");
    events.event(&reference(pod), EventType::Normal, "Scheduled", message);
    Ok(())
}

/// Says that `pod` fits nowhere: an event, and the condition if it does not say so already.
pub(crate) async fn tell_unschedulable(
    client: &Client,
    events: &EventRecorder,
    pod: &PodView,
    message: &str,
    now: Timestamp,
) -> Result<(), ClientError> {
    events.event(
        &reference(pod),
        EventType::Warning,
        "FailedScheduling",
        message,
    );
    let said = pod.status.conditions.iter().any(|condition| {
        condition.kind == "PodScheduled"
            && condition.status == "False"
            && condition.reason == "Unschedulable"
            && condition.message == message
    });
    if said {
        return Ok(());
    }
    let patch = json!({ "status": { "conditions": [{
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(now),
    }] } });
    let key = pod.key();
    let at = (key.namespace.as_str(), key.name.as_str());
    client
        .patch::<Value>(&pods(), at, "status", PatchKind::Strategic, &patch)
        .await
        .map(|_| ())
}

/// The resource of pods.
pub(crate) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}
