//! How a pod's status reaches the server: what changed is sent as a patch, one at a time, so that
//! changes that come meanwhile are one patch; nothing changed is nothing sent; what failed is sent
//! again after a while.
//!
//! Kubernetes: kubelet status manager.

use crate::client::{ClientError, Meta, PatchKind};
use crate::kubelet::node::{Node, pods};
use crate::kubelet::pod_spec;
use crate::kubelet::state::{ImageState, Phase, PodState, later};
use crate::kubelet::status;
use crate::kubelet::sync_pod::{Done, Operations};
use crate::stdx::{Backoff, Clock};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A container that starts faster than this is reported when it runs, and not before.
const STARTING_SHOWN_AFTER: Duration = Duration::from_millis(100);
/// How long listeners stay open for the server to hear that the pod is not ready.
const UNREADY_WAIT_MAX: Duration = Duration::from_secs(1);
/// The first wait before a status that was not taken is sent again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);
/// The node's conditions that a pod has only while it is resized.
const PASSING: [&str; 2] = ["PodResizePending", "PodResizeInProgress"];
/// Fields that the node owns; one that is gone is taken out.
const OWN_FIELDS: [&str; 6] = [
    "reason",
    "message",
    "podIP",
    "podIPs",
    "initContainerStatuses",
    "containerStatuses",
];

/// What the server knows of a pod's status, and what it must still be told.
pub(super) struct Reporter {
    told: Option<PodStatus>,
    /// The revision at which the server had what was told.
    told_at: u64,
    sending: Option<PodStatus>,
    backoff: Backoff,
    retry_at: Option<Timestamp>,
    unready_since: Option<Timestamp>,
    end_wanted: bool,
}

impl Reporter {
    /// `told` is the status as the server has it.
    pub(super) fn new(told: Option<&PodStatus>) -> Self {
        Self {
            told: told.cloned(),
            told_at: 0,
            sending: None,
            backoff: Backoff::new(
                RETRY_DELAY_MIN,
                RETRY_DELAY_MAX,
                RETRY_DELAY_MAX.saturating_mul(2),
            ),
            retry_at: None,
            unready_since: None,
            end_wanted: false,
        }
    }

    /// Somebody waits for the server to know that the pod is not ready.
    pub(super) fn want_unready(&mut self, now: Timestamp) {
        self.unready_since.get_or_insert(now);
    }

    /// Somebody waits for the server to know the end.
    pub(super) fn want_end(&mut self) {
        self.end_wanted = true;
    }

    /// The server has answered: the revision that it made of it, if it took it.
    pub(super) fn answered(&mut self, taken: Option<u64>, clock: &Clock) {
        let sent = self.sending.take();
        if let Some(revision) = taken {
            self.told = sent;
            self.told_at = revision;
            self.backoff.reset();
            self.retry_at = None;
        } else {
            let delay = self.backoff.failed(clock.instant());
            self.retry_at = Some(later(clock.now(), delay));
        }
    }

    /// What the server has is what it was told, unless somebody has written over it since: the node
    /// lifecycle controller says of the pods of a lost node that they are not ready.
    /// Kubernetes: the status manager's `needsReconcile`.
    fn learn(&mut self, pod: &Pod) {
        let revision = pod.metadata.resource_version.as_deref();
        let revision = revision.and_then(|revision| revision.parse().ok());
        if let Some(revision) = revision.filter(|revision| *revision > self.told_at)
            && self.sending.is_none()
        {
            self.told.clone_from(&pod.status);
            self.told_at = revision;
        }
    }

    /// Sends what is new. Returns whether something that was waited for is told, and when to call
    /// again.
    pub(super) fn report(
        &mut self,
        node: &Arc<Node>,
        pod: &Arc<Pod>,
        state: &mut PodState,
        operations: &Operations,
        now: Timestamp,
    ) -> (bool, Option<Timestamp>) {
        if state.removed {
            return (self.told_all(state), None);
        }
        let mut wake = None;
        if let Some(since) = self.unready_since {
            let until = later(since, UNREADY_WAIT_MAX);
            if until <= now {
                return (self.told_unready(state), None);
            }
            wake = Some(until);
        }
        if self.sending.is_some() {
            return (false, wake);
        }
        self.learn(pod);
        if let Some(until) = held(state, now).or(self.retry_at).filter(|at| *at > now) {
            return (false, Some(wake.map_or(until, |wake| wake.min(until))));
        }
        // The end of a pod that this node found ended is as its last life told it.
        if state.end_told && !state.any_live() {
            return (self.told_all(state), None);
        }
        let status = status::build(pod, state, self.told.as_ref(), &node.host_ips, now);
        let Some(patch) = difference(self.told.as_ref(), &status) else {
            return (self.told_all(state), None);
        };
        self.sending = Some(status);
        let (node, pod) = (node.clone(), pod.clone());
        operations.push(Box::pin(async move { send(&node, &pod, patch).await }));
        (false, wake)
    }

    fn told_unready(&mut self, state: &mut PodState) -> bool {
        let wanted = self.unready_since.take().is_some();
        state.unready_told |= wanted;
        wanted
    }

    fn told_all(&mut self, state: &mut PodState) -> bool {
        let wanted = std::mem::take(&mut self.end_wanted);
        state.end_told |= wanted;
        self.told_unready(state) || wanted
    }
}

/// Until when a status is held back because a container is about to run.
fn held(state: &PodState, now: Timestamp) -> Option<Timestamp> {
    let starting = state
        .containers
        .values()
        .filter_map(|of| match (&of.phase, &of.pull) {
            (Phase::Starting { at, .. }, _) => Some(later(*at, STARTING_SHOWN_AFTER)),
            // Most images are there already: looking is quicker than telling.
            (_, ImageState::Pulling { since }) => Some(later(*since, STARTING_SHOWN_AFTER)),
            _ => None,
        });
    starting.min().filter(|until| *until > now)
}

/// The patch of what differs, if anything does.
fn difference(before: Option<&PodStatus>, after: &PodStatus) -> Option<Value> {
    let object = |status: Option<&PodStatus>| match status.map(serde_json::to_value) {
        Some(Ok(Value::Object(fields))) => fields,
        _ => Map::new(),
    };
    let before = object(before);
    let after = object(Some(after));
    let mut patch = Map::new();
    for name in OWN_FIELDS {
        if before.contains_key(name) && !after.contains_key(name) {
            patch.insert(name.to_owned(), Value::Null);
        }
    }
    for (name, value) in after {
        match (name.as_str(), before.get(&name)) {
            ("conditions", Some(before)) => {
                let over = over(before, &value);
                if !over.is_empty() || !has_all(before, &value) {
                    let mut conditions = without_old_members(before, value);
                    if let Some(list) = conditions.as_array_mut() {
                        list.extend(over);
                    }
                    patch.insert(name, conditions);
                }
            }
            (_, Some(before)) if *before == value => {}
            ("podIPs" | "hostIPs", Some(before)) => {
                patch.insert(name, moved(before, value));
            }
            _ => {
                patch.insert(name, value);
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Conditions that stand only while something is under way, and are to go: what takes them out.
fn over(before: &Value, wanted: &Value) -> Vec<Value> {
    let kinds = |list: &Value| -> Vec<Value> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|one| one.get("type").cloned()).collect()
    };
    let wanted = kinds(wanted);
    let passing = |kind: &Value| PASSING.iter().any(|passing| kind == passing);
    let gone = kinds(before).into_iter();
    gone.filter(|kind| passing(kind) && !wanted.contains(kind))
        .map(|kind| json!({"$patch": "delete", "type": kind}))
        .collect()
}

/// Addresses are merged by address: those that are gone have to be taken out by name.
fn moved(before: &Value, mut wanted: Value) -> Value {
    let gone: Vec<Value> = {
        let list = |value| Value::as_array(value).into_iter().flatten();
        list(before)
            .filter(|old| !list(&wanted).any(|new| new == *old))
            .filter_map(|old| Some(json!({"$patch": "delete", "ip": old.get("ip")?})))
            .collect()
    };
    if let Some(wanted) = wanted.as_array_mut() {
        wanted.extend(gone);
    }
    wanted
}

/// Conditions that others wrote are not looked at.
fn has_all(before: &Value, wanted: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let before = list(before);
    list(wanted).iter().all(|wanted| {
        let kind = wanted.get("type");
        let same = before
            .iter()
            .find(|condition| condition.get("type") == kind);
        same.is_some_and(|same| without_probe(same) == without_probe(wanted))
    })
}

/// Conditions are merged by type: what a condition no longer has (the reason why it was false) has
/// to be taken out by name.
fn without_old_members(before: &Value, mut wanted: Value) -> Value {
    for condition in wanted.as_array_mut().into_iter().flatten() {
        let kind = condition.get("type").cloned();
        let mut known = before.as_array().into_iter().flatten();
        let old = known.find(|old| old.get("type") == kind.as_ref());
        let (Some(fields), Some(old)) = (condition.as_object_mut(), old.and_then(Value::as_object))
        else {
            continue;
        };
        for name in old.keys() {
            if !fields.contains_key(name) {
                fields.insert(name.clone(), Value::Null);
            }
        }
    }
    wanted
}

fn without_probe(condition: &Value) -> Value {
    let mut condition = condition.clone();
    if let Some(fields) = condition.as_object_mut() {
        fields.remove("lastProbeTime");
    }
    condition
}

/// What became of a written status.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// The server has it since this revision.
    Taken(u64),
    /// It has to be tried again.
    Refused,
    /// The pod is not there.
    Gone,
}

/// What of the server's answer is read.
#[derive(Deserialize)]
struct Taken {
    metadata: Meta,
}

async fn send(node: &Node, pod: &Pod, patch: Value) -> Done {
    let at = (pod_spec::namespace(pod), pod_spec::name(pod));
    let patch = json!({"metadata": {"uid": pod_spec::uid(pod)}, "status": patch});
    let sent = node
        .client
        .patch::<Taken>(&pods(), at, "status", PatchKind::Strategic, &patch)
        .await;
    Done::Told(match sent {
        Ok(taken) => Answer::Taken(taken.metadata.resource_version.parse().unwrap_or(0)),
        // Another pod may have the name by now.
        Err(error) if error.is_not_found() || is_other_pod(&error) => Answer::Gone,
        Err(error) => {
            let name = format!("{}/{}", at.0, at.1);
            tracing::warn!(node = %node.name, pod = %name, %error, "a status was not taken");
            Answer::Refused
        }
    })
}

/// A patch names the uid that it means; the server refuses to change it.
fn is_other_pod(error: &ClientError) -> bool {
    match error {
        ClientError::Api(error) => {
            matches!(error.code, 409 | 422) && error.message.to_lowercase().contains("uid")
        }
        _ => false,
    }
}

/// Removes the object of a pod of which nothing runs. True if it is gone, false if others still
/// hold it, `None` if it has to be tried again.
///
/// Kubernetes: kubelet status manager, deletion with grace 0 and the uid as precondition.
pub(super) async fn delete(node: &Node, pod: &Pod) -> Option<bool> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod_spec::uid(pod)},
    });
    let (namespace, name) = (pod_spec::namespace(pod), pod_spec::name(pod));
    let deleted = node.client.delete(&pods(), namespace, name, &options).await;
    match deleted {
        Ok(answer) => {
            let held = answer
                .pointer("/metadata/finalizers")
                .and_then(Value::as_array)
                .is_some_and(|finalizers| !finalizers.is_empty());
            Some(!held)
        }
        Err(error) if error.is_not_found() || error.is_conflict() => Some(true),
        Err(error) => {
            tracing::warn!(node = %node.name, pod = name, %error, "a pod was not removed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_the_place_of_another() {
        let ips = |ips: &[&str]| -> Value { ips.iter().map(|ip| json!({"ip": ip})).collect() };
        assert_eq!(
            moved(
                &ips(&["10.1.0.2", "fd00::2"]),
                ips(&["10.1.0.3", "fd00::2"])
            ),
            json!([{"ip": "10.1.0.3"}, {"ip": "fd00::2"}, {"$patch": "delete", "ip": "10.1.0.2"}])
        );
    }

    #[test]
    fn conditions_of_a_resize_go_with_it_and_those_of_others_stay() {
        let of =
            |kinds: &[&str]| -> Value { kinds.iter().map(|kind| json!({"type": kind})).collect() };
        let before = of(&["PodResizePending", "DisruptionTarget", "Ready"]);
        let gone = over(&before, &of(&["Ready"]));
        assert_eq!(
            gone,
            [json!({"$patch": "delete", "type": "PodResizePending"})]
        );
        assert!(over(&before, &of(&["PodResizePending"])).is_empty());
    }
}
