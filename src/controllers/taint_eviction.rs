//! taint-eviction-controller: pods go from a node with a taint `NoExecute` that they do not tolerate,
//! or tolerate no longer. How long they have is counted from when the taint was set, so that it holds
//! over a restart.
//! Kubernetes: `pkg/controller/tainteviction`.

use super::disruption::pod_reference;
use crate::client::{ClientError, EventType, PatchKind};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::time::rfc3339;
use crate::meta::{GroupVersionResource, Object, ObjectKey, time};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "taint-eviction-controller",
    account: Some("node-controller"),
    watches: &[Watched {
        resource: ("", "v1", "nodes"),
        fields: "",
        key: |node| Some(ObjectKey::new("", node.name())),
    }],
    listen: Some(|caches, queue| {
        let all = Arc::downgrade(caches);
        caches.pods.listen(move |before, now| {
            let Some(caches) = all.upgrade() else { return };
            let Some(pod) = now.filter(|pod| pod.active()) else {
                return;
            };
            let moved = before.is_none_or(|before| before.pod.node != pod.pod.node);
            if moved && caches.taints.has(&pod.pod.node) {
                queue.add(pod.key.clone());
            }
        });
    }),
    workers: 4,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// What is known of nodes with such taints, and which pods have been told to go later.
#[derive(Default)]
pub(crate) struct Taints {
    nodes: Mutex<HashMap<Box<str>, Vec<Value>>>,
    waiting: Mutex<HashSet<ObjectKey>>,
}

impl Taints {
    fn has(&self, node: &str) -> bool {
        self.nodes.lock().contains_key(node)
    }
}

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    if key.namespace.is_empty() {
        return node(context, key).await;
    }
    let pods = pods();
    let read = context
        .client
        .get::<Value>(&pods, &key.namespace, &key.name);
    match read.await {
        Ok(value) => {
            let pod = Object::from_value(value).unwrap_or_default();
            Ok(visit(&context, &pod).await?.map_or(Next::Wait, Next::After))
        }
        Err(error) if error.is_not_found() => {
            context.caches.taints.waiting.lock().remove(&key);
            Ok(Next::Wait)
        }
        Err(error) => Err(error),
    }
}

/// A node has changed: all its pods are looked at, if they may have to go, or had to.
async fn node(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    let found = match context.client.get::<Value>(&nodes, "", &key.name).await {
        Ok(value) => no_execute(&Object::from_value(value).unwrap_or_default()),
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error),
    };
    let name: Box<str> = key.name.as_str().into();
    let before = {
        let mut known = context.caches.taints.nodes.lock();
        match found.is_empty() {
            true => known.remove(&name),
            false => known.insert(name, found.clone()),
        }
    };
    if found.is_empty() && before.is_none() {
        return Ok(Next::Wait);
    }
    let selector = format!("spec.nodeName={}", key.name);
    let query = crate::client::Query::new().with("fieldSelector", &selector);
    let listed = context.client.list::<Value>(&pods(), "", &query).await?;
    let mut next: Option<Duration> = None;
    for pod in listed.items.into_iter().filter_map(Object::from_value) {
        let wait = visit(&context, &pod).await?;
        next = next.into_iter().chain(wait).min();
    }
    Ok(next.map_or(Next::Wait, Next::After))
}

/// A node's taints that drive pods away.
fn no_execute(node: &Object) -> Vec<Value> {
    let taints = node.get(&["spec", "taints"]).and_then(Value::as_array);
    let drives = |taint: &&Value| taint.get("effect") == Some(&json!("NoExecute"));
    taints
        .into_iter()
        .flatten()
        .filter(drives)
        .cloned()
        .collect()
}

/// Whether a pod goes.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It may stay.
    Stays,
    /// It goes when this is over.
    After(Duration),
    /// It goes now.
    Goes,
}

/// Decides: pure. A taint without a time has just been set.
fn fate(pod: &Object, taints: &[Value], now: Timestamp) -> Fate {
    let tolerations = pod.get(&["spec", "tolerations"]).and_then(Value::as_array);
    let mut fate = Fate::Stays;
    for taint in taints {
        let mut seconds: Option<Option<i64>> = None;
        for toleration in tolerations.into_iter().flatten() {
            if !tolerates(toleration, taint) {
                continue;
            }
            let own = toleration.get("tolerationSeconds").and_then(Value::as_i64);
            // The shortest of those that have an end; without one, the pod stays.
            seconds = Some(match seconds {
                None => own,
                Some(None) => own,
                Some(Some(before)) => Some(own.map_or(before, |own| own.min(before))),
            });
        }
        let Some(seconds) = seconds else {
            return Fate::Goes;
        };
        let Some(seconds) = seconds else { continue };
        let since = taint.get("timeAdded").and_then(Value::as_str);
        let since = since.and_then(time::parse).unwrap_or(now);
        let left =
            SignedDuration::from_secs(seconds.max(0)).saturating_sub(now.duration_since(since));
        match Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
            None => return Fate::Goes,
            Some(left) => {
                let sooner = match fate {
                    Fate::After(before) => before.min(left),
                    _ => left,
                };
                fate = Fate::After(sooner);
            }
        }
    }
    fate
}

/// Kubernetes: `Toleration.ToleratesTaint`.
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value.get(field).and_then(Value::as_str).unwrap_or_default()
    }
    let same = |field: &str| matches!(text(toleration, field), value if value.is_empty() || value == text(taint, field));
    same("effect")
        && same("key")
        && match text(toleration, "operator") {
            "" | "Equal" => text(toleration, "value") == text(taint, "value"),
            "Exists" => true,
            _ => false,
        }
}

/// Looks at a pod; answers when to look again.
async fn visit(context: &Context, pod: &Object) -> Result<Option<Duration>, ClientError> {
    let (key, memory) = (pod.key(), &context.caches.taints);
    let ended = matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    if pod.deletion_timestamp().is_some() || ended {
        memory.waiting.lock().remove(&key);
        return Ok(None);
    }
    let node = pod.str_at(&["spec", "nodeName"]);
    let taints = memory.nodes.lock().get(node).cloned().unwrap_or_default();
    let about = crate::client::ObjectReference {
        uid: pod.uid().to_owned(),
        ..pod_reference(&crate::controllers::members::Member::of(pod))
    };
    let tell = |message: String| {
        let kind = EventType::Normal;
        context
            .events
            .event(&about, kind, "TaintManagerEviction", message);
    };
    match fate(pod, &taints, context.clock.now()) {
        Fate::Stays => {
            if memory.waiting.lock().remove(&key) {
                tell(format!("Cancelling deletion of Pod {key}"));
            }
            Ok(None)
        }
        Fate::After(left) => {
            memory.waiting.lock().insert(key);
            Ok(Some(left))
        }
        Fate::Goes => {
            memory.waiting.lock().remove(&key);
            tell(format!("Marking for deletion Pod {key}"));
            evict(context, pod).await?;
            Ok(None)
        }
    }
}

async fn evict(context: &Context, pod: &Object) -> Result<(), ClientError> {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": rfc3339(context.clock.now()),
    });
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [condition]}});
    let at = (pod.namespace(), pod.name());
    let gone = |error: &ClientError| error.is_not_found() || error.is_conflict();
    let (kind, pods) = (PatchKind::Strategic, pods());
    let patched = context
        .client
        .patch::<IgnoredAny>(&pods, at, "status", kind, &patch);
    match patched.await {
        Err(error) if gone(&error) => return Ok(()),
        other => other.map(|_| ())?,
    }
    let options = json!({"preconditions": {"uid": pod.uid()}});
    match context.client.delete(&pods, at.0, at.1, &options).await {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates_all_taints() {
        let now = time::parse("2026-01-01T00:01:00Z").unwrap();
        let away = json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute",
                          "timeAdded": "2026-01-01T00:00:00Z"});
        let mine = json!({"key": "mine", "value": "v", "effect": "NoExecute"});
        let fate_of = |tolerations: Value, taints: &[&Value]| {
            let pod = Object::from_value(json!({"spec": {"tolerations": tolerations}})).unwrap();
            let taints: Vec<Value> = taints.iter().map(|taint| (*taint).clone()).collect();
            fate(&pod, &taints, now)
        };
        let seconds = |count: i64| {
            json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists",
                    "effect": "NoExecute", "tolerationSeconds": count}])
        };
        assert_eq!(fate_of(json!([]), &[&away]), Fate::Goes);
        assert_eq!(fate_of(json!([]), &[]), Fate::Stays);
        assert_eq!(
            fate_of(seconds(300), &[&away]),
            Fate::After(Duration::from_secs(240))
        );
        assert_eq!(fate_of(seconds(60), &[&away]), Fate::Goes);
        assert_eq!(fate_of(seconds(300), &[&away, &mine]), Fate::Goes);
        assert_eq!(
            fate_of(json!([{"operator": "Exists"}]), &[&away, &mine]),
            Fate::Stays
        );
        let equal =
            json!([{"key": "mine", "value": "v"}, {"operator": "Exists", "tolerationSeconds": 90}]);
        assert_eq!(
            fate_of(equal, &[&mine]),
            Fate::After(Duration::from_secs(90))
        );
        assert_eq!(
            fate_of(json!([{"key": "mine", "value": "w"}]), &[&mine]),
            Fate::Goes
        );
    }
}
