//! pod-garbage-collector-controller: pods that nobody ends any more go. Those of a node that is no
//! more, those that are to go from a node that is out of service, and those that are to go and never
//! had a node are marked as failed first; of those that have ended, only so many stay.
//! Kubernetes: `pkg/controller/podgc`.

use crate::client::{ClientError, PatchKind, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::members::Member;
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Pods that have ended and stay. Kubernetes: TerminatedPodGCThreshold.
const ENDED_PODS_MAX: usize = 12_500;
/// The taint of a node that will not come back, set by its administrator.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Why a pod of a node that is no more has failed.
const ORPHANED: &str = "PodGC: node no longer exists";

/// A key without a namespace is a node's, one without a name says that too many pods have ended.
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
            key: concern,
        },
    ],
    listen: Some(|caches, queue| {
        let ended = AtomicUsize::new(0);
        caches.pods.listen(move |before, now| {
            let has_ended = |pod: Option<&Member>| pod.is_some_and(|pod| pod.pod.ended());
            let count = match (has_ended(before), has_ended(now)) {
                (false, true) => ended.fetch_add(1, Relaxed) + 1,
                (true, false) => ended.fetch_sub(1, Relaxed).saturating_sub(1),
                _ => return,
            };
            if count > ENDED_PODS_MAX {
                queue.add(ObjectKey::new("", ""));
            }
        });
    }),
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// The node of a pod that no node has begun with, or that is to go: the node may be no more, or out
/// of service. The pod itself, if it is to go and has no node.
fn concern(pod: &Object) -> Option<ObjectKey> {
    let node = pod.str_at(&["spec", "nodeName"]);
    let begun = pod.get(&["status", "startTime"]).is_some();
    let going = pod.deletion_timestamp().is_some();
    match (node, going) {
        ("", true) => Some(pod.key()),
        ("", false) => None,
        (node, going) => (going || !begun).then(|| ObjectKey::new("", node)),
    }
}

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    if !key.namespace.is_empty() {
        unscheduled(&context, &key).await?;
    } else if key.name.is_empty() {
        ended(&context).await?;
    } else {
        of_node(&context, &key.name).await?;
    }
    Ok(Next::Wait)
}

/// Pods of a node that is no more, or that are to go from one that is out of service.
async fn of_node(context: &Context, name: &str) -> Result<(), ClientError> {
    let client = &context.client;
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    let going_alone = match client.get::<Value>(&nodes, "", name).await {
        Ok(node) if is_out_of_service(&node) => true,
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
    };
    let query = Query::new().with("fieldSelector", &format!("spec.nodeName={name}"));
    let listed = client.list::<Value>(&pods(), "", &query).await?;
    for pod in listed.items.into_iter().filter_map(Object::from_value) {
        if !going_alone {
            collect(context, &pod, Some(ORPHANED)).await?;
        } else if pod.deletion_timestamp().is_some() {
            collect(context, &pod, None).await?;
        }
    }
    Ok(())
}

/// Whether a node is not ready and said to be out of service: pure.
fn is_out_of_service(node: &Value) -> bool {
    let list = |path: &str| {
        node.pointer(path)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let ready =
        list("/status/conditions").any(|one| one["type"] == "Ready" && one["status"] == "True");
    !ready && list("/spec/taints").any(|taint| taint["key"] == OUT_OF_SERVICE)
}

/// A pod that is to go and has no node.
async fn unscheduled(context: &Context, key: &ObjectKey) -> Result<(), ClientError> {
    let pods = pods();
    // It may be listed and deleted, not got.
    let read = context
        .shared
        .get::<Value>(&pods, &key.namespace, &key.name);
    let pod = match read.await {
        Ok(pod) => Object::from_value(pod).unwrap_or_default(),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if concern(&pod).as_ref() == Some(key) {
        collect(context, &pod, None).await?;
    }
    Ok(())
}

/// Of the pods that have ended those that are too many: first those that their node has ended to
/// save itself, then the oldest.
async fn ended(context: &Context) -> Result<(), ClientError> {
    let mut ended = context
        .caches
        .pods
        .filtered(|pod| pod.pod.ended() && !pod.deleting);
    ended.sort_by(|a, b| {
        let age = |pod: &Member| (!pod.pod.evicted, pod.created);
        age(a)
            .cmp(&age(b))
            .then_with(|| a.key.name.cmp(&b.key.name))
    });
    let surplus = ended.len().saturating_sub(ENDED_PODS_MAX);
    for pod in ended.iter().take(surplus) {
        let at = (pod.key.namespace.as_str(), pod.key.name.as_str());
        delete(context, at, &pod.uid).await?;
    }
    Ok(())
}

/// What its status is to say, if the pod has not ended: pure.
fn failed(pod: &Object, why: Option<&str>, now: Timestamp) -> Option<Value> {
    if matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed") {
        return None;
    }
    let Some(why) = why else {
        return Some(json!({"status": {"phase": "Failed"}}));
    };
    Some(json!({"status": {
        "phase": "Failed",
        "conditions": [{
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": why,
            "lastProbeTime": null,
            "lastTransitionTime": rfc3339(now),
        }],
    }}))
}

fn is_gone(error: &ClientError) -> bool {
    error.is_not_found() || error.is_conflict()
}

async fn collect(context: &Context, pod: &Object, why: Option<&str>) -> Result<(), ClientError> {
    let at = (pod.namespace(), pod.name());
    if let Some(patch) = failed(pod, why, context.clock.now()) {
        let (kind, pods) = (PatchKind::Strategic, pods());
        let patched = context
            .client
            .patch::<IgnoredAny>(&pods, at, "status", kind, &patch);
        match patched.await {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    delete(context, at, pod.uid()).await
}

async fn delete(context: &Context, at: (&str, &str), uid: &str) -> Result<(), ClientError> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    });
    match context.client.delete(&pods(), at.0, at.1, &options).await {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: Value, status: Value) -> Object {
        let metadata = json!({"name": "p", "namespace": "n"});
        Object::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn only_pods_that_no_node_has_begun_with_or_that_go_ask_for_their_node() {
        let bound = json!({"nodeName": "n"});
        let key = concern(&pod(bound.clone(), json!({})));
        assert_eq!(key, Some(ObjectKey::new("", "n")));
        let begun = json!({"startTime": "2026-01-01T00:00:00Z"});
        let mut runs = pod(bound, begun);
        assert_eq!(concern(&runs), None);
        runs.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:00Z"),
        );
        assert_eq!(concern(&runs), Some(ObjectKey::new("", "n")));
        let mut waits = pod(json!({}), json!({}));
        assert_eq!(concern(&waits), None);
        waits.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:00Z"),
        );
        assert_eq!(concern(&waits), Some(ObjectKey::new("n", "p")));
    }

    #[test]
    fn what_has_ended_keeps_how_it_ended() {
        let ended = pod(json!({}), json!({"phase": "Succeeded"}));
        assert_eq!(failed(&ended, Some(ORPHANED), Timestamp::UNIX_EPOCH), None);
        let runs = pod(json!({}), json!({"phase": "Running"}));
        let patch = failed(&runs, Some(ORPHANED), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(patch["status"]["phase"], "Failed");
        assert_eq!(patch["status"]["conditions"][0]["message"], ORPHANED);
        let patch = failed(&runs, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(patch, json!({"status": {"phase": "Failed"}}));
    }

    #[test]
    fn out_of_service_is_a_node_that_is_said_to_be_and_is_not_ready() {
        let node = |ready: &str| {
            json!({
                "spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        assert!(is_out_of_service(&node("Unknown")));
        assert!(!is_out_of_service(&node("True")));
        assert!(!is_out_of_service(&json!({})));
    }
}
