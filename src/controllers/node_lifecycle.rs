//! node-lifecycle-controller: a node whose lease has run out is said to be Unknown, its pods not
//! ready; and what a node's conditions say stands as taints on it, by which the scheduler keeps
//! away, and by which pods go from a node that stays away (`taint_eviction`).
//! Kubernetes: `pkg/controller/nodelifecycle`.

use crate::client::{Client, ClientError, PatchKind, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a node may be silent. Kubernetes: nodeMonitorGracePeriod, there 50 seconds; here that
/// of the lease.
const SILENT_MAX: SignedDuration = SignedDuration::from_secs(40);
/// How long a new node has for its first lease. Kubernetes: nodeStartupGracePeriod.
const STARTUP_MAX: SignedDuration = SignedDuration::from_secs(60);
/// The namespace of the nodes' leases.
const LEASES: &str = "kube-node-lease";
/// The conditions that a node tells itself.
const CONDITIONS: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The service account that nodes are looked after by.
pub const ACCOUNT: &str = "node-controller";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "node-lifecycle-controller",
    account: Some(ACCOUNT),
    watches: &[Watched {
        resource: ("", "v1", "nodes"),
        fields: "",
        key: |node| Some(ObjectKey::new("", node.name())),
    }],
    listen: None,
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

fn nodes() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "nodes")
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.client;
    let Some(mut node) = read(client, &nodes(), "", &key.name).await? else {
        return Ok(Next::Wait);
    };
    let lease = lease(&context.shared, &key.name).await?;
    let now = context.clock.now();
    let next = match left(&node, lease.as_ref(), context.started, now) {
        Some(left) => Next::After(left),
        None => {
            silence(client, &mut node, now).await?;
            // A lease that is renewed again comes with a status, which is a change of the node.
            Next::Wait
        }
    };
    taint(client, &node, now).await?;
    Ok(next)
}

/// Says of a node that nobody runs any more what would be found out when its lease runs out.
pub async fn mark_silent(client: &Client, name: &str, now: Timestamp) -> Result<(), ClientError> {
    let Some(mut node) = read(client, &nodes(), "", name).await? else {
        return Ok(());
    };
    silence(client, &mut node, now).await?;
    taint(client, &node, now).await
}

async fn read(
    client: &Client,
    resource: &GroupVersionResource,
    namespace: &str,
    name: &str,
) -> Result<Option<Object>, ClientError> {
    match client.get::<Value>(resource, namespace, name).await {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lease of a node. It may be listed and watched, not got.
async fn lease(shared: &Client, node: &str) -> Result<Option<Object>, ClientError> {
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let query = Query::new().with("fieldSelector", &format!("metadata.name={node}"));
    let listed = shared.list::<Value>(&leases, LEASES, &query).await?;
    Ok(listed.items.into_iter().find_map(Object::from_value))
}

fn time_at(object: &Object, path: &[&str]) -> Option<Timestamp> {
    object.str_at(path).parse().ok()
}

/// How long the node may still be silent; `None` if it has been for too long. Nothing was heard
/// before `started`, when the server was not there. Pure.
fn left(
    node: &Object,
    lease: Option<&Object>,
    started: Timestamp,
    now: Timestamp,
) -> Option<Duration> {
    let renewed = lease.and_then(|lease| time_at(lease, &["spec", "renewTime"]));
    let until = match renewed {
        Some(renewed) => renewed.max(started).checked_add(SILENT_MAX),
        None => time_at(node, &["metadata", "creationTimestamp"])
            .unwrap_or(now)
            .max(started)
            .checked_add(STARTUP_MAX),
    };
    let left = until.unwrap_or(now).duration_since(now);
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

fn condition<'a>(object: &'a Object, kind: &str) -> Option<&'a Value> {
    let list = object.get(&["status", "conditions"])?.as_array()?;
    list.iter().find(|condition| condition["type"] == kind)
}

/// The conditions that become Unknown, as they are to be. Pure.
fn unknown(node: &Object, now: Timestamp) -> Vec<Value> {
    let now = rfc3339(now);
    let stale = CONDITIONS.into_iter().filter(|kind| {
        condition(node, kind).is_none_or(|condition| condition["status"] != "Unknown")
    });
    stale
        .map(|kind| {
            let heard = condition(node, kind).map(|condition| &condition["lastHeartbeatTime"]);
            let (reason, message) = match heard {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => (
                    "NodeStatusNeverUpdated",
                    "Kubelet never posted node status.",
                ),
            };
            json!({
                "type": kind,
                "status": "Unknown",
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": heard.cloned().unwrap_or_else(|| json!(now)),
                "lastTransitionTime": now,
            })
        })
        .collect()
}

/// Says of the node that it is silent, and of its pods that they are not ready.
async fn silence(client: &Client, node: &mut Object, now: Timestamp) -> Result<(), ClientError> {
    let conditions = unknown(node, now);
    if conditions.is_empty() {
        return Ok(());
    }
    tracing::warn!(node = node.name(), "the node is silent");
    let patch = json!({"status": {"conditions": conditions}});
    let at = ("", node.name());
    let patched = client
        .patch::<Value>(&nodes(), at, "status", PatchKind::Strategic, &patch)
        .await?;
    *node = Object::from_value(patched).unwrap_or_default();
    let pods = GroupVersionResource::new("", "v1", "pods");
    let selector = format!("spec.nodeName={}", node.name());
    let query = Query::new().with("fieldSelector", &selector);
    let listed = client.list::<Value>(&pods, "", &query).await?;
    for pod in listed.items.into_iter().filter_map(Object::from_value) {
        if condition(&pod, "Ready").is_none_or(|ready| ready["status"] != "True") {
            continue;
        }
        let patch = json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(now)},
        ]}});
        let at = (pod.namespace(), pod.name());
        let patched = client.patch::<IgnoredAny>(&pods, at, "status", PatchKind::Strategic, &patch);
        match patched.await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The taints that follow from the node's conditions, by key and effect. Pure.
fn wanted(node: &Object) -> Vec<(&'static str, &'static str)> {
    let status = |kind| condition(node, kind).map(|condition| condition["status"].clone());
    let mut taints = Vec::new();
    match status("Ready") {
        Some(ready) if ready == "False" => {
            taints.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]);
        }
        Some(ready) if ready == "Unknown" => {
            taints.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]);
        }
        _ => {}
    }
    for (kind, key) in PRESSURES {
        if status(kind).is_some_and(|status| status == "True") {
            taints.push((key, "NoSchedule"));
        }
    }
    if node.get(&["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        taints.push(("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    taints
}

const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "node.kubernetes.io/network-unavailable",
    ),
];

/// Whether a taint is this controller's to set and to take away.
fn is_ours(key: &str) -> bool {
    let others = [NOT_READY, UNREACHABLE, "node.kubernetes.io/unschedulable"];
    others.contains(&key) || PRESSURES.iter().any(|(_, own)| *own == key)
}

/// The node's taints as they are to be; `None` if they are. Pure.
fn taints(node: &Object, now: Timestamp) -> Option<Vec<Value>> {
    let present = node.get(&["spec", "taints"]).and_then(Value::as_array);
    let present = present.cloned().unwrap_or_default();
    let wanted = wanted(node);
    let is = |taint: &Value, (key, effect): &(&str, &str)| {
        taint["key"] == *key && taint["effect"] == *effect
    };
    let mut after: Vec<Value> = present
        .iter()
        .filter(|taint| {
            let ours = taint["key"].as_str().is_some_and(is_ours);
            !ours || wanted.iter().any(|wanted| is(taint, wanted))
        })
        .cloned()
        .collect();
    for (key, effect) in &wanted {
        if !after.iter().any(|taint| is(taint, &(key, effect))) {
            after.push(json!({"key": key, "effect": effect, "timeAdded": rfc3339(now)}));
        }
    }
    (after != present).then_some(after)
}

async fn taint(client: &Client, node: &Object, now: Timestamp) -> Result<(), ClientError> {
    let Some(taints) = taints(node, now) else {
        return Ok(());
    };
    let patch = json!({
        "metadata": {"resourceVersion": node.resource_version()},
        "spec": {"taints": taints},
    });
    let at = ("", node.name());
    let patched = client
        .patch::<IgnoredAny>(&nodes(), at, "", PatchKind::Merge, &patch)
        .await;
    match patched {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn node(conditions: &[(&str, &str)], taints: Value) -> Object {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status)| {
                json!({"type": kind, "status": status, "lastHeartbeatTime": "1970-01-01T00:00:00Z"})
            })
            .collect();
        Object::from_value(json!({
            "metadata": {"name": "n", "creationTimestamp": rfc3339(at(0))},
            "spec": {"taints": taints},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_lease_holds_for_forty_seconds_and_a_new_node_waits_for_its_first() {
        let silent = node(&[], json!([]));
        let second = Some(Duration::from_secs(1));
        assert_eq!(left(&silent, None, at(0), at(59)), second);
        assert_eq!(left(&silent, None, at(0), at(60)), None);
        let lease = json!({"metadata": {"name": "n"}, "spec": {"renewTime": rfc3339(at(100))}});
        let lease = Object::from_value(lease).unwrap();
        let heard = |started, now| left(&silent, Some(&lease), at(started), at(now));
        assert_eq!(heard(500, 539), second, "nobody was there to hear it");
        let left = |now| heard(0, now);
        assert_eq!(left(110), Some(Duration::from_secs(30)));
        assert_eq!(left(141), None);
    }

    #[test]
    fn a_silent_node_is_unknown_in_kubernetes_words() {
        let ready = node(&[("Ready", "True"), ("PIDPressure", "Unknown")], json!([]));
        let conditions = unknown(&ready, at(50));
        let kinds: Vec<&str> = conditions
            .iter()
            .map(|c| c["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["MemoryPressure", "DiskPressure", "Ready"]);
        let ready = &conditions[2];
        assert_eq!(ready["reason"], "NodeStatusUnknown");
        assert_eq!(ready["message"], "Kubelet stopped posting node status.");
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:50Z");
        assert_eq!(conditions[0]["reason"], "NodeStatusNeverUpdated");
    }

    #[test]
    fn taints_follow_the_conditions_and_others_stay() {
        let own = json!({"key": "mine", "effect": "NoSchedule"});
        let pressed = [("Ready", "True"), ("MemoryPressure", "True")];
        let after = taints(&node(&pressed, json!([own])), at(0)).unwrap();
        let keys: Vec<&str> = after.iter().map(|t| t["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["mine", "node.kubernetes.io/memory-pressure"]);
        assert_eq!(taints(&node(&pressed, json!(after)), at(9)), None);
        let relieved = taints(&node(&[("Ready", "True")], json!(after)), at(9));
        assert_eq!(relieved, Some(vec![own]));
        let gone = taints(&node(&[("Ready", "Unknown")], json!([])), at(0)).unwrap();
        assert_eq!(gone.len(), 2);
        assert_eq!(gone[1]["effect"], "NoExecute");
    }
}
