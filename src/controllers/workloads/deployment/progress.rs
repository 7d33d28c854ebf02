//! What the status of a Deployment says: its counts, and whether it gets on. Pure.
//! Kubernetes: `pkg/controller/deployment/progress.go`, `sync.go` calculateStatus.

use super::plan::{Step, at};
use super::view::{Deployment, Set, View};
use crate::controllers::workloads::{conditions, number};
use crate::meta::{Object, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The reason of the condition of a rollout that has ended.
const AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// A condition that is new now.
pub(super) fn condition(
    kind: &str,
    status: &str,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Value {
    json!({
        "type": kind,
        "status": status,
        "lastUpdateTime": at(now),
        "lastTransitionTime": at(now),
        "reason": reason,
        "message": message,
    })
}

/// The reason of the condition Progressing, if it is there.
pub(super) fn reason(deployment: &Object) -> Option<&str> {
    let found = deployment.get(&["status", "conditions"])?.as_array()?;
    conditions::find(found, "Progressing").map(|found| conditions::text(found, "reason"))
}

/// Sets a condition of the status.
pub(super) fn set_condition(deployment: &mut Object, condition: Value) {
    let mut found = conditions::of(deployment);
    conditions::set(&mut found, condition);
    deployment.set(&["status", "conditions"], Value::Array(found));
}

/// The step that writes a condition.
pub(super) fn with_condition(deployment: &Deployment, condition: Value) -> Step {
    let mut object = deployment.object.clone();
    set_condition(&mut object, condition);
    Step::Status(object, false)
}

/// Whether every pod is of the new template and available, by the counts of a status.
/// Kubernetes: DeploymentComplete.
pub(super) fn is_complete(deployment: &Deployment, of: &Object) -> bool {
    let count = |name: &str| number(of, &["status", name]);
    let wanted = deployment.replicas;
    count("updatedReplicas") == wanted
        && count("replicas") == wanted
        && count("availableReplicas") == wanted
        && count("observedGeneration") >= deployment.object.generation()
}

/// Kubernetes: DeploymentProgressing.
fn gets_on(before: &Object, after: &Object) -> bool {
    let count = |of: &Object, name: &str| number(of, &["status", name]);
    let old = |of: &Object| count(of, "replicas") - count(of, "updatedReplicas");
    count(after, "updatedReplicas") > count(before, "updatedReplicas")
        || old(after) < old(before)
        || count(after, "readyReplicas") > count(before, "readyReplicas")
        || count(after, "availableReplicas") > count(before, "availableReplicas")
}

fn is_timed_out(deployment: &Deployment, found: &[Value], now: Timestamp) -> bool {
    let Some(current) = conditions::find(found, "Progressing") else {
        return false;
    };
    match conditions::text(current, "reason") {
        AVAILABLE => false,
        TIMED_OUT => true,
        _ => left(deployment, current, now).is_some_and(|left| left.is_negative()),
    }
}

/// The time until the deadline.
fn left(deployment: &Deployment, current: &Value, now: Timestamp) -> Option<SignedDuration> {
    let since = time::parse(conditions::text(current, "lastUpdateTime"))?;
    let deadline = SignedDuration::from_secs(deployment.progress_deadline()?);
    Some(deadline.saturating_sub(now.duration_since(since)))
}

/// When it is to be looked at again: after the deadline of a rollout that has not ended.
/// Kubernetes: requeueStuckDeployment.
pub(super) fn look_again(deployment: &Deployment, now: Timestamp) -> Option<Duration> {
    let found = conditions::of(&deployment.object);
    let current = conditions::find(&found, "Progressing")?;
    if is_complete(deployment, &deployment.object)
        || conditions::text(current, "reason") == TIMED_OUT
    {
        return None;
    }
    let left = left(deployment, current, now)?;
    let left = Duration::try_from(left).unwrap_or_default();
    Some(left + Duration::from_secs(1))
}

/// The status; of a `rollout` also whether it gets on.
pub(super) fn status(view: &View, now: Timestamp, rollout: bool) -> Value {
    let deployment = &view.deployment;
    let mut object = deployment.object.clone();
    object.set(&["status"], Value::Object(counts(view)));
    let mut found = conditions::of(&deployment.object);
    let available = number(&object, &["status", "availableReplicas"]);
    let enough = available >= deployment.replicas - deployment.max_unavailable;
    let (status, reason, message) = if enough {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let minimum = condition("Available", status, (reason, message), now);
    conditions::set(&mut found, minimum);
    if rollout {
        progressing(view, &object, &mut found, now);
        match replica_failure(view) {
            Some(failure) => conditions::set(&mut found, failure),
            None => conditions::remove(&mut found, "ReplicaFailure"),
        }
    }
    let Some(Value::Object(mut status)) = object.remove(&["status"]) else {
        return Value::Null;
    };
    conditions::put(&mut status, found);
    Value::Object(status)
}

fn counts(view: &View) -> Map<String, Value> {
    let deployment = &view.deployment;
    let sum = |of: fn(&Set) -> i64| view.all().map(of).sum::<i64>();
    let available = sum(|set| set.available);
    let mut status = Map::new();
    let mut count = |name: &str, count: i64| {
        if count != 0 {
            status.insert(name.to_owned(), json!(count));
        }
    };
    count("observedGeneration", deployment.object.generation());
    count("replicas", sum(|set| set.actual));
    count(
        "updatedReplicas",
        view.new.as_ref().map_or(0, |new| new.actual),
    );
    count("readyReplicas", sum(|set| set.ready));
    count("availableReplicas", available);
    count("unavailableReplicas", (view.wanted() - available).max(0));
    let terminating: Option<i64> = view.all().map(|set| set.terminating).sum();
    if let Some(terminating) = terminating {
        status.insert("terminatingReplicas".to_owned(), json!(terminating));
    }
    if let Some(count) = deployment.object.get(&["status", "collisionCount"]) {
        status.insert("collisionCount".to_owned(), count.clone());
    }
    status
}

/// Kubernetes: syncRolloutStatus.
fn progressing(view: &View, after: &Object, found: &mut Vec<Value>, now: Timestamp) {
    let deployment = &view.deployment;
    if deployment.progress_deadline().is_none() {
        conditions::remove(found, "Progressing");
        return;
    }
    let current = conditions::find(found, "Progressing").cloned();
    let count = |name: &str| number(after, &["status", name]);
    let has_ended = current
        .as_ref()
        .is_some_and(|current| conditions::text(current, "reason") == AVAILABLE);
    if has_ended && count("replicas") == count("updatedReplicas") {
        return;
    }
    let subject = match &view.new {
        Some(new) => format!("ReplicaSet \"{}\"", new.object.name()),
        None => format!("Deployment \"{}\"", deployment.object.name()),
    };
    if is_complete(deployment, after) {
        let message = format!("{subject} has successfully progressed.");
        let of = (AVAILABLE, message.as_str());
        conditions::set(found, condition("Progressing", "True", of, now));
    } else if gets_on(&deployment.object, after) {
        let message = format!("{subject} is progressing.");
        let of = ("ReplicaSetUpdated", message.as_str());
        let mut condition = condition("Progressing", "True", of, now);
        // It is told anew each time, so that the deadline counts from the last step.
        if let Some(current) = current {
            if conditions::text(&current, "status") == "True"
                && let Some(since) = current.get("lastTransitionTime")
                && let Some(fields) = condition.as_object_mut()
            {
                fields.insert("lastTransitionTime".to_owned(), since.clone());
            }
            conditions::remove(found, "Progressing");
        }
        conditions::set(found, condition);
    } else if is_timed_out(deployment, found, now) {
        let message = format!("{subject} has timed out progressing.");
        let of = (TIMED_OUT, message.as_str());
        conditions::set(found, condition("Progressing", "False", of, now));
    }
}

/// That pods could not be made or deleted, as a ReplicaSet says it; the new one's word comes first.
fn replica_failure(view: &View) -> Option<Value> {
    let failure = |set: &Set| {
        let found = conditions::of(&set.object);
        conditions::find(&found, "ReplicaFailure").cloned()
    };
    let mut failure = view.new.iter().chain(&view.old).find_map(failure)?;
    let since = failure
        .get("lastTransitionTime")
        .cloned()
        .unwrap_or_default();
    failure
        .as_object_mut()?
        .insert("lastUpdateTime".to_owned(), since);
    Some(failure)
}
