//! pod-garbage-collector-controller: pods of a node that is no more are marked as failed and go,
//! as nobody is left who could end them.
//! Kubernetes: `pkg/controller/podgc`, gcOrphaned.

use crate::client::{Client, ClientError, PatchKind, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "pod-garbage-collector-controller",
    account: Some("pod-garbage-collector"),
    watches: &[
        Watched {
            resource: ("", "v1", "nodes"),
            fields: "",
            key: |node| Some(ObjectKey::new("", node.name())),
        },
        Watched {
            resource: ("", "v1", "pods"),
            fields: "",
            key: unacknowledged,
        },
    ],
    listen: None,
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// The node of a pod that is bound and that no node has begun with: the node may be no more. The
/// pods that one has begun with are looked at when it goes.
fn unacknowledged(pod: &Object) -> Option<ObjectKey> {
    let node = pod.str_at(&["spec", "nodeName"]);
    let begun = pod.get(&["status", "startTime"]).is_some();
    (!node.is_empty() && !begun).then(|| ObjectKey::new("", node))
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.client;
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    match client.get::<IgnoredAny>(&nodes, "", &key.name).await {
        Ok(_) => return Ok(Next::Wait),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let pods = GroupVersionResource::new("", "v1", "pods");
    let selector = format!("spec.nodeName={}", key.name);
    let query = Query::new().with("fieldSelector", &selector);
    let listed = client.list::<Value>(&pods, "", &query).await?;
    for pod in listed.items.into_iter().filter_map(Object::from_value) {
        collect(client, &pods, &pod, context.clock.now()).await?;
    }
    Ok(Next::Wait)
}

/// What its status is to say, if the pod has not ended: pure.
fn failed(pod: &Object, now: Timestamp) -> Option<Value> {
    if matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed") {
        return None;
    }
    Some(json!({"status": {
        "phase": "Failed",
        "conditions": [{
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastProbeTime": null,
            "lastTransitionTime": rfc3339(now),
        }],
    }}))
}

async fn collect(
    client: &Client,
    pods: &GroupVersionResource,
    pod: &Object,
    now: Timestamp,
) -> Result<(), ClientError> {
    let at = (pod.namespace(), pod.name());
    let gone = |error: &ClientError| error.is_not_found() || error.is_conflict();
    if let Some(patch) = failed(pod, now) {
        let patched = client.patch::<IgnoredAny>(pods, at, "status", PatchKind::Strategic, &patch);
        match patched.await {
            Err(error) if !gone(&error) => return Err(error),
            _ => {}
        }
    }
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod.uid()},
    });
    match client.delete(pods, at.0, at.1, &options).await {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: Value, status: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "p"}, "spec": spec, "status": status}))
            .unwrap()
    }

    #[test]
    fn only_pods_that_no_node_has_begun_with_ask_for_their_node() {
        let bound = json!({"nodeName": "n"});
        let key = unacknowledged(&pod(bound.clone(), json!({})));
        assert_eq!(key, Some(ObjectKey::new("", "n")));
        let begun = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert_eq!(unacknowledged(&pod(bound, begun)), None);
        assert_eq!(unacknowledged(&pod(json!({}), json!({}))), None);
    }

    #[test]
    fn what_has_ended_keeps_how_it_ended() {
        let ended = pod(json!({}), json!({"phase": "Succeeded"}));
        assert_eq!(failed(&ended, Timestamp::UNIX_EPOCH), None);
        let runs = pod(json!({}), json!({"phase": "Running"}));
        let patch = failed(&runs, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(patch["status"]["phase"], "Failed");
    }
}
