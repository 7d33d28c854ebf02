//! What a Job does next: whether it has ended, which pods are made, which go. Pure.
//! Kubernetes: `pkg/controller/job/job_controller.go` syncJob, manageJob; `success_policy.go`.

use super::backoff::{finished, left};
use super::failure_policy::{Verdict, judge};
use super::indexes::Indexes;
use super::view::{View, absolute_failures, facts, has_limit_per_index, is_set, is_suspended};
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::pod_control::BURST_PODS;
use crate::controllers::workloads::replica_set::rank::first_to_go_first;
use crate::controllers::workloads::{conditions, number};
use crate::meta::time;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finish {
    /// The condition: one that foretells the end, or the end.
    pub(super) kind: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
}

/// The condition that foretells a failure.
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
/// The condition that foretells a success.
pub(super) const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// The condition of a Job that has failed.
pub(super) const FAILED: &str = "Failed";
/// The condition of a Job that has succeeded.
pub(super) const COMPLETE: &str = "Complete";

impl Finish {
    fn new(kind: &'static str, reason: &str, message: &str) -> Self {
        Self {
            kind,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn failure(reason: &str, message: &str) -> Self {
        Self::new(FAILURE_TARGET, reason, message)
    }

    /// As many have succeeded as were to.
    pub(super) fn success() -> Self {
        let message = "Reached expected number of succeeded pods";
        Self::new(SUCCESS_CRITERIA_MET, "CompletionsReached", message)
    }
}

/// What is done with pods.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// Nothing.
    Nothing,
    /// Pods are made, each with its index if it has one.
    Create(Vec<Option<u32>>),
    /// Pods go that do not count.
    Delete(Vec<Arc<Member>>),
    /// The Job ends: what runs goes, and counts.
    End(Vec<Arc<Member>>),
}

/// What is decided.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) finish: Option<Finish>,
    pub(super) act: Act,
    /// When there is something to be decided without a change.
    pub(super) next: Option<Duration>,
}

/// Decides.
pub(super) fn decide(view: &View<'_>, now: Timestamp) -> Decision {
    let (finish, deadline) = finish(view, now);
    let (act, wait) = match &finish {
        Some(_) => (Act::End(view.active.clone()), None),
        None if view.job.deletion_timestamp().is_some() => (Act::Nothing, None),
        None => manage(view, now),
    };
    let next = deadline.into_iter().chain(wait).min();
    Decision { finish, act, next }
}

/// Whether the Job ends, and, if not, when its time is over.
fn finish(view: &View<'_>, now: Timestamp) -> (Option<Finish>, Option<Duration>) {
    if let Some((reason, message)) = view.holds(SUCCESS_CRITERIA_MET) {
        return (
            Some(Finish::new(SUCCESS_CRITERIA_MET, &reason, &message)),
            None,
        );
    }
    if let Some((reason, message)) = view.holds(FAILURE_TARGET) {
        return (Some(Finish::new(FAILED, &reason, &message)), None);
    }
    if let Some(words) = failed_by_policy(view) {
        return (Some(Finish::failure("PodFailurePolicy", &words)), None);
    }
    if view.failed > number(view.job, &["spec", "backoffLimit"]) || restarted_too_often(view) {
        let message = "Job has reached the specified backoff limit";
        return (Some(Finish::failure("BackoffLimitExceeded", message)), None);
    }
    let deadline = time_left(view, now);
    if deadline.is_some_and(|left| left.is_zero()) {
        let message = "Job was active longer than specified deadline";
        return (Some(Finish::failure("DeadlineExceeded", message)), None);
    }
    (by_indexes(view), deadline)
}

fn failed_by_policy(view: &View<'_>) -> Option<String> {
    if !is_set(view.job, "podFailurePolicy") {
        return None;
    }
    let mut failed = view.pods.iter().filter(|pod| view.has_failed(pod));
    failed.find_map(|pod| match judge(view.job, pod) {
        Verdict::FailJob(words) => Some(words),
        _ => None,
    })
}

/// Whether containers that are restarted in their pods have failed too often.
fn restarted_too_often(view: &View<'_>) -> bool {
    let policy = ["spec", "template", "spec", "restartPolicy"];
    if view.job.str_at(&policy) != "OnFailure" {
        return false;
    }
    let runs = |pod: &&Arc<Member>| matches!(pod.pod.phase, Phase::Running | Phase::Pending);
    let pods = view.pods.iter().filter(runs);
    let restarts: i64 = pods.map(|pod| facts(pod).restarts).sum();
    let limit = number(view.job, &["spec", "backoffLimit"]);
    restarts >= limit.max(1)
}

/// What is left of `activeDeadlineSeconds`; zero when it is over, none if there is no end.
fn time_left(view: &View<'_>, now: Timestamp) -> Option<Duration> {
    if !is_set(view.job, "activeDeadlineSeconds") || is_suspended(view.job) {
        return None;
    }
    let allowed = SignedDuration::from_secs(number(view.job, &["spec", "activeDeadlineSeconds"]));
    let start = time::parse(view.job.str_at(&["status", "startTime"])).unwrap_or(now);
    let left = allowed.saturating_sub(now.duration_since(start));
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

/// Whether what is known of the indexes ends the Job.
fn by_indexes(view: &View<'_>) -> Option<Finish> {
    if !view.indexed {
        return None;
    }
    let completions = view.completions.unwrap_or(0);
    if let Some(failed) = &view.failed_indexes {
        let most = view
            .job
            .get(&["spec", "maxFailedIndexes"])
            .and_then(Value::as_i64);
        if most.is_some_and(|most| i64::from(failed.len()) > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Finish::failure("MaxFailedIndexesExceeded", message));
        }
        if !failed.is_empty() && failed.len() + view.done.len() >= completions {
            return Some(Finish::failure("FailedIndexes", "Job has failed indexes"));
        }
    }
    let rule = rule_met(view, completions)?;
    let message = format!("Matched rules at index {rule}");
    Some(Finish::new(SUCCESS_CRITERIA_MET, "SuccessPolicy", &message))
}

/// The first rule of the success policy that is met.
fn rule_met(view: &View<'_>, completions: u32) -> Option<usize> {
    let rules = view
        .job
        .get(&["spec", "successPolicy", "rules"])?
        .as_array()?;
    if view.done.is_empty() {
        return None;
    }
    rules.iter().position(|rule| {
        let enough = rule.get("succeededCount").and_then(Value::as_u64);
        let reached = |count: u32| enough.is_some_and(|enough| u64::from(count) >= enough);
        match rule.get("succeededIndexes").and_then(Value::as_str) {
            Some(_) => {
                let wanted =
                    Indexes::parse(conditions::text(rule, "succeededIndexes"), completions);
                let done = wanted.common(&view.done);
                !wanted.is_empty() && (done == wanted.len() || reached(done))
            }
            None => reached(view.done.len()),
        }
    })
}

/// Which pods are made or go, and how long is to be waited before.
fn manage(view: &View<'_>, now: Timestamp) -> (Act, Option<Duration>) {
    let active = view.active.len();
    if is_suspended(view.job) {
        let doomed = removal(view, active, now);
        return match doomed.is_empty() {
            true => (Act::Nothing, None),
            false => (Act::Delete(doomed), None),
        };
    }
    let parallelism = number(view.job, &["spec", "parallelism"]);
    let wanted = match view.completions {
        None if view.succeeded > 0 => active,
        None => usize::try_from(parallelism).unwrap_or(0),
        Some(completions) => {
            let left = i64::from(completions).saturating_sub(view.succeeded);
            usize::try_from(left.min(parallelism)).unwrap_or(0)
        }
    };
    let mut doomed = removal(view, active.saturating_sub(wanted), now);
    if !doomed.is_empty() {
        doomed.truncate(BURST_PODS);
        return (Act::Delete(doomed), None);
    }
    let going = if view.only_ended { view.terminating } else { 0 };
    let missing = wanted.saturating_sub(active + going);
    if missing == 0 {
        return (Act::Nothing, None);
    }
    let per_index = has_limit_per_index(view.job);
    if !per_index && let Some(wait) = view.failures.left(now) {
        return (Act::Nothing, Some(wait));
    }
    let missing = missing.min(BURST_PODS);
    if !view.indexed {
        return (Act::Create(vec![None; missing]), None);
    }
    let mut pending = pending(view).missing(missing, view.completions.unwrap_or(0));
    let mut wait = None;
    if per_index {
        (pending, wait) = due(view, pending, now);
    }
    if pending.is_empty() {
        return (Act::Nothing, wait);
    }
    (Act::Create(pending.into_iter().map(Some).collect()), wait)
}

/// The indexes that need no pod.
fn pending(view: &View<'_>) -> Indexes {
    let mut settled = view
        .done
        .with(view.active.iter().filter_map(|pod| facts(pod).index));
    if view.only_ended {
        let going = view
            .pods
            .iter()
            .filter(|pod| pod.deleting && !pod.pod.ended());
        settled = settled.with(going.filter_map(|pod| facts(pod).index));
    }
    match &view.failed_indexes {
        Some(failed) => settled.union(failed),
        None => settled,
    }
}

/// Of indexes those whose wait is over, and how long the next one still waits.
fn due(view: &View<'_>, indexes: Vec<u32>, now: Timestamp) -> (Vec<u32>, Option<Duration>) {
    let mut next: Option<Duration> = None;
    let is_due = |index: &u32| {
        let Some(failed) = view.last_failed.get(index) else {
            return true;
        };
        let failures = absolute_failures(failed).saturating_add(1);
        let Some(wait) = left(failures, finished(failed), now) else {
            return true;
        };
        next = Some(next.map_or(wait, |next| next.min(wait)));
        false
    };
    let now = indexes.into_iter().filter(is_due).collect();
    (now, next)
}

/// At least `least` active pods that go: those without an index or with one that another has, then
/// those that serve least.
fn removal(view: &View<'_>, least: usize, now: Timestamp) -> Vec<Arc<Member>> {
    let mut doomed = Vec::new();
    let mut left = view.active.clone();
    if view.indexed {
        let mut by_index: BTreeMap<u32, Vec<Arc<Member>>> = BTreeMap::new();
        for pod in left.drain(..) {
            match view.index(&pod) {
                Some(index) => by_index.entry(index).or_default().push(pod),
                None => doomed.push(pod),
            }
        }
        for mut same in by_index.into_values() {
            first_to_go_first(&mut same, &[], now);
            left.extend(same.pop());
            doomed.append(&mut same);
        }
    }
    let more = least.saturating_sub(doomed.len());
    if more > 0 {
        first_to_go_first(&mut left, &[], now);
        left.truncate(more);
        doomed.append(&mut left);
    }
    doomed
}
