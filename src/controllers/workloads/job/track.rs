//! The books of a Job: who has ended is first named in the status, then loses its finalizer, then is
//! counted; so no end is counted twice, whatever is interrupted. Pure.
//! Kubernetes: `pkg/controller/job/job_controller.go` trackJobStatusAndRemoveFinalizers.

use super::failure_policy::{Verdict, judge};
use super::plan::{Act, COMPLETE, Decision, FAILED, FAILURE_TARGET, Finish, SUCCESS_CRITERIA_MET};
use super::view::{View, facts, is_suspended};
use crate::client::EventType;
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::conditions;
use crate::meta::time::rfc3339;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Pods that a status names as not yet counted at most. Kubernetes: MaxUncountedPods.
const UNCOUNTED_PODS_MAX: usize = 500;

/// How many pods there are after the act.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) active: usize,
    pub(super) ready: usize,
    pub(super) terminating: usize,
    /// Whether all was done that was to be.
    pub(super) whole: bool,
}

/// What is written, and what follows.
pub(super) struct Tracked {
    /// The status that is written first.
    pub(super) status: Map<String, Value>,
    /// The pods that lose their finalizer after that.
    pub(super) counted: Vec<Arc<Member>>,
    /// How the Job ends when all is counted.
    pub(super) finish: Option<Finish>,
    /// What is told of it.
    pub(super) events: Vec<(EventType, &'static str, &'static str)>,
    /// Whether there are more pods to be counted than one status may name.
    full: bool,
}

/// Books what has happened.
pub(super) fn track(view: &View<'_>, decision: Decision, done: Done, now: Timestamp) -> Tracked {
    let mut status = match view.job.get(&["status"]) {
        Some(Value::Object(status)) => status.clone(),
        _ => Map::new(),
    };
    let suspended = is_suspended(view.job);
    if !suspended && status.get("startTime").is_none_or(Value::is_null) {
        status.insert("startTime".to_owned(), json!(rfc3339(now)));
    }
    let mut events = Vec::new();
    let mut finish = decision.finish.filter(|_| done.whole);
    if !matches!(decision.act, Act::End(_)) {
        if is_complete(view, done.active) {
            finish = Some(Finish::success());
        } else if view.job.deletion_timestamp().is_none() {
            suspend(&mut status, suspended, now, &mut events);
        }
    }
    count(&mut status, "active", done.active);
    status.insert("ready".to_owned(), json!(done.ready));
    status.insert("terminating".to_owned(), json!(done.terminating));
    let mut tracked = Tracked {
        status,
        counted: Vec::new(),
        finish,
        events,
        full: false,
    };
    book(view, &mut tracked);
    foretell(&mut tracked, now);
    tracked
}

fn is_complete(view: &View<'_>, active: usize) -> bool {
    active == 0
        && match view.completions {
            None => view.succeeded > 0,
            Some(completions) => view.succeeded >= i64::from(completions),
        }
}

fn suspend(
    status: &mut Map<String, Value>,
    suspended: bool,
    now: Timestamp,
    events: &mut Vec<(EventType, &'static str, &'static str)>,
) {
    let (holds, reason, event, message) = match suspended {
        true => ("True", "JobSuspended", "Suspended", "Job suspended"),
        false => ("False", "JobResumed", "Resumed", "Job resumed"),
    };
    if !ensure(status, ("Suspended", holds), (reason, message), now) {
        return;
    }
    events.push((EventType::Normal, event, message));
    // The time in which the Job is suspended is not time in which it is active.
    if suspended {
        status.remove("startTime");
    } else {
        status.insert("startTime".to_owned(), json!(rfc3339(now)));
    }
}

/// Sets a condition, unless it stands there; one that does not hold is not made. True if it changed.
fn ensure(
    status: &mut Map<String, Value>,
    (kind, holds): (&str, &str),
    (reason, message): (&str, &str),
    now: Timestamp,
) -> bool {
    let mut list = match status.get("conditions") {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    let known = list
        .iter_mut()
        .find(|one| conditions::text(one, "type") == kind);
    let mut condition = json!({
        "type": kind,
        "status": holds,
        "lastProbeTime": rfc3339(now),
        "lastTransitionTime": rfc3339(now),
    });
    if let Some(fields) = condition.as_object_mut() {
        for (name, text) in [("reason", reason), ("message", message)] {
            if !text.is_empty() {
                fields.insert(name.to_owned(), json!(text));
            }
        }
    }
    match known {
        Some(known) => {
            let text = |field| conditions::text(known, field);
            if (text("status"), text("reason"), text("message")) == (holds, reason, message) {
                return false;
            }
            *known = condition;
        }
        None if holds == "False" => return false,
        None => list.push(condition),
    }
    conditions::put(status, list);
    true
}

fn count(status: &mut Map<String, Value>, field: &str, count: usize) {
    match count {
        0 => status.remove(field),
        count => status.insert(field.to_owned(), json!(count)),
    };
}

/// Names those that have ended, and finds whose finalizer goes.
fn book(view: &View<'_>, tracked: &mut Tracked) {
    settle(&mut tracked.status, |uid| {
        view.pods
            .iter()
            .any(|pod| *pod.uid == *uid && facts(pod).tracked)
    });
    let mut named = named(&tracked.status);
    let mut indexes = Vec::new();
    for pod in view.pods.iter().filter(|pod| facts(pod).tracked) {
        let failed = view.has_failed(pod);
        if !may_be_counted(view, tracked, pod, failed) {
            continue;
        }
        tracked.counted.push(pod.clone());
        let index = view.index(pod);
        let uid = pod.uid.to_string();
        if pod.pod.phase == Phase::Succeeded && !view.uncounted.1.contains(&uid) {
            match (view.indexed, index) {
                (true, Some(index)) if !view.done_before.has(index) => indexes.push(index),
                (true, _) => {}
                (false, _) if view.uncounted.0.contains(&uid) => {}
                (false, _) => named.0.push(uid),
            }
        } else if (failed || ends_badly(tracked.finish.as_ref()))
            && !view.uncounted.1.contains(&uid)
            && (!view.indexed || index.is_some())
            && judge(view.job, pod) != Verdict::Ignore
        {
            // Of a Job that has ended, all that has not succeeded has failed.
            named.1.push(uid);
        }
        if indexes.len() + named.0.len() + named.1.len() >= UNCOUNTED_PODS_MAX {
            tracked.full = true;
            break;
        }
    }
    name(&mut tracked.status, named);
    if view.indexed {
        let done = view.done.with(indexes);
        let succeeded = usize::try_from(done.len()).unwrap_or(usize::MAX);
        count(&mut tracked.status, "succeeded", succeeded);
        let status = &mut tracked.status;
        match done.to_string() {
            none if none.is_empty() => status.remove("completedIndexes"),
            list => status.insert("completedIndexes".to_owned(), json!(list)),
        };
        if let Some(failed) = &view.failed_indexes {
            status.insert("failedIndexes".to_owned(), json!(failed.to_string()));
        }
    }
}

/// Whether a finish is not a good one.
fn ends_badly(finish: Option<&Finish>) -> bool {
    finish.is_some_and(|finish| finish.kind != SUCCESS_CRITERIA_MET)
}

/// Whether a pod's finalizer may go. A failed one that knows how often its index has failed stays
/// until another knows it.
fn may_be_counted(view: &View<'_>, tracked: &Tracked, pod: &Member, failed: bool) -> bool {
    if view.job.deletion_timestamp().is_some()
        || tracked.finish.is_some()
        || pod.pod.phase == Phase::Succeeded
    {
        return true;
    }
    let kept = || {
        let last = facts(pod)
            .index
            .and_then(|index| view.last_failed.get(&index));
        last.is_some_and(|last| last.uid == pod.uid)
    };
    failed && !kept()
}

/// The unique ids that the status names: succeeded, failed.
fn named(status: &Map<String, Value>) -> (Vec<String>, Vec<String>) {
    let list = |name: &str| {
        let list = status
            .get("uncountedTerminatedPods")
            .and_then(|all| all.get(name));
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    (list("succeeded"), list("failed"))
}

fn name(status: &mut Map<String, Value>, (succeeded, failed): (Vec<String>, Vec<String>)) {
    let mut all = Map::new();
    for (name, list) in [("succeeded", succeeded), ("failed", failed)] {
        if !list.is_empty() {
            all.insert(name.to_owned(), json!(list));
        }
    }
    status.insert("uncountedTerminatedPods".to_owned(), Value::Object(all));
}

/// The condition that foretells the end is written before any finalizer goes.
fn foretell(tracked: &mut Tracked, now: Timestamp) {
    let Some(finish) = &mut tracked.finish else {
        return;
    };
    let end = match finish.kind {
        FAILURE_TARGET => FAILED,
        SUCCESS_CRITERIA_MET => COMPLETE,
        _ => return,
    };
    let words = (finish.reason.as_str(), finish.message.as_str());
    ensure(&mut tracked.status, (finish.kind, "True"), words, now);
    finish.kind = end;
}

/// Counts those named pods that `tracked` no longer says to carry the finalizer.
pub(super) fn settle(status: &mut Map<String, Value>, tracked: impl Fn(&str) -> bool) {
    let (mut succeeded, mut failed) = named(status);
    for (field, list) in [("succeeded", &mut succeeded), ("failed", &mut failed)] {
        let before = list.len();
        list.retain(|uid| tracked(uid));
        let known = status.get(field).and_then(Value::as_u64).unwrap_or(0);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        count(status, field, known.saturating_add(before - list.len()));
    }
    name(status, (succeeded, failed));
}

/// The last condition, when all is counted and nothing goes any more: whether the Job has ended.
pub(super) fn enact(tracked: &mut Tracked, now: Timestamp) -> bool {
    let Some(finish) = &tracked.finish else {
        return false;
    };
    let named = named(&tracked.status);
    let going = tracked.status.get("terminating").and_then(Value::as_u64);
    if tracked.full || !named.0.is_empty() || !named.1.is_empty() || going != Some(0) {
        return false;
    }
    let words = (finish.reason.as_str(), finish.message.as_str());
    ensure(&mut tracked.status, (finish.kind, "True"), words, now);
    if finish.kind == COMPLETE {
        let status = &mut tracked.status;
        status.insert("completionTime".to_owned(), json!(rfc3339(now)));
    }
    true
}
