//! What the scheduler writes: the binding, the condition of a pod that fits nowhere, the events.

use crate::client::{
    Client, ClientError, EventRecorder, EventType, HasMeta, ObjectReference, PatchKind,
};
use crate::meta::GroupVersionResource;
use crate::meta::time::rfc3339;
use crate::sched::SCHEDULER_NAME;
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

/// Says that `pod` fits nowhere: an event, and the condition if it does not say so already, with the
/// node that it is promised (none: as before).
pub(crate) async fn tell_unschedulable(
    client: &Client,
    events: &EventRecorder,
    pod: &PodView,
    (message, promised): (&str, Option<&str>),
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
    let promised = promised.filter(|node| *node != pod.status.nominated_node_name);
    if said && promised.is_none() {
        return Ok(());
    }
    let mut status = json!({ "conditions": [{
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(now),
    }] });
    if let (Some(node), Some(fields)) = (promised, status.as_object_mut()) {
        let node = if node.is_empty() {
            Value::Null
        } else {
            json!(node)
        };
        fields.insert("nominatedNodeName".to_owned(), node);
    }
    write_status(client, pod, status).await
}

async fn write_status(client: &Client, pod: &PodView, status: Value) -> Result<(), ClientError> {
    let (key, patch) = (pod.key(), json!({ "status": status }));
    let at = (key.namespace.as_str(), key.name.as_str());
    client
        .patch::<Value>(&pods(), at, "status", PatchKind::Strategic, &patch)
        .await
        .map(|_| ())
}

/// Has `victim` leave its node, so that there is room for another pod: it says why, and is deleted.
pub(crate) async fn preempt(
    client: &Client,
    events: &EventRecorder,
    victim: &PodView,
    (by, node): (&PodView, &str),
    now: Timestamp,
) -> Result<(), ClientError> {
    let words = format!("{SCHEDULER_NAME}: preempting to accommodate a higher priority pod");
    let status = json!({ "conditions": [{
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": words,
        "lastProbeTime": null,
        "lastTransitionTime": rfc3339(now),
    }] });
    if victim.metadata.deletion_timestamp.is_none() {
        write_status(client, victim, status).await?;
        let key = victim.key();
        let options = json!({"preconditions": {"uid": victim.metadata.own.uid}});
        let gvr = pods();
        let deleted = client.delete(&gvr, &key.namespace, &key.name, &options);
        deleted.await?;
    }
    let message = format!("Preempted by pod {} on node {node}", by.metadata.own.uid);
    events.event(&reference(victim), EventType::Normal, "Preempted", message);
    Ok(())
}

/// The resource of pods.
pub(crate) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}
