//! A Job and its pods, counted: what a turn decides by. Pure.
//! Kubernetes: `pkg/controller/job` syncJobCtx, `indexed_job_utils.go`.

use super::backoff::{Failures, finished};
use super::failure_policy::{Verdict, judge};
use super::indexes::Indexes;
use crate::controllers::job_facts::JobFacts;
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::{conditions, number};
use crate::meta::Object;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

/// A Job and its pods.
pub(super) struct View<'a> {
    pub(super) job: &'a Object,
    /// All its pods; those with an index in the order of their indexes.
    pub(super) pods: Vec<Arc<Member>>,
    /// `spec.completions`.
    pub(super) completions: Option<u32>,
    /// Whether each pod has an index.
    pub(super) indexed: bool,
    /// Whether a pod is replaced only when it has ended, not when it is going.
    pub(super) only_ended: bool,
    /// Those that run or will run, and are to stay.
    pub(super) active: Vec<Arc<Member>>,
    /// Active ones that are ready.
    pub(super) ready: usize,
    /// Those that go and have not ended.
    pub(super) terminating: usize,
    /// Unique ids of the pods that the status names as not yet counted: succeeded, failed.
    pub(super) uncounted: (HashSet<String>, HashSet<String>),
    /// How many have succeeded, counted or not; of an indexed Job, how many indexes.
    pub(super) succeeded: i64,
    /// How many have failed, counted or not, without those that a policy ignores.
    pub(super) failed: i64,
    /// The indexes that the status says are done.
    pub(super) done_before: Indexes,
    /// The indexes that are done.
    pub(super) done: Indexes,
    /// The indexes that have failed for good, if indexes can.
    pub(super) failed_indexes: Option<Indexes>,
    /// By index the failed pod that knows how often the index has failed, until another replaces it.
    pub(super) last_failed: BTreeMap<u32, Arc<Member>>,
    /// What has failed since the last success.
    pub(super) failures: Failures,
}

/// What is known of a pod of a Job; nothing of one that has just been adopted.
pub(super) fn facts(pod: &Member) -> &JobFacts {
    static NOTHING: LazyLock<JobFacts> = LazyLock::new(JobFacts::default);
    pod.pod.job.as_deref().unwrap_or_else(|| &NOTHING)
}

/// Whether `spec.suspend` is set.
pub(super) fn is_suspended(job: &Object) -> bool {
    job.get(&["spec", "suspend"]) == Some(&Value::Bool(true))
}

/// Whether each index may fail so often.
pub(super) fn has_limit_per_index(job: &Object) -> bool {
    is_set(job, "backoffLimitPerIndex")
}

/// Whether a field of the spec is there.
pub(super) fn is_set(job: &Object, field: &str) -> bool {
    job.get(&["spec", field])
        .is_some_and(|value| !value.is_null())
}

impl<'a> View<'a> {
    /// Counts. `failures` are those remembered from earlier turns.
    pub(super) fn new(job: &'a Object, mut pods: Vec<Arc<Member>>, failures: Failures) -> Self {
        let indexed = job.str_at(&["spec", "completionMode"]) == "Indexed";
        if indexed {
            pods.sort_by_key(|pod| facts(pod).index);
        }
        let completions = job.get(&["spec", "completions"]).and_then(Value::as_u64);
        let completions = completions.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let only_ended = job.str_at(&["spec", "podReplacementPolicy"]) == "Failed"
            || is_set(job, "podFailurePolicy");
        let active: Vec<_> = pods.iter().filter(|pod| pod.active()).cloned().collect();
        let going = |pod: &&Arc<Member>| pod.deleting && !pod.pod.ended();
        let mut view = Self {
            job,
            completions,
            indexed,
            only_ended,
            ready: active.iter().filter(|pod| pod.pod.ready.is_some()).count(),
            terminating: pods.iter().filter(going).count(),
            active,
            uncounted: (uncounted(job, "succeeded"), uncounted(job, "failed")),
            succeeded: 0,
            failed: 0,
            done_before: Indexes::default(),
            done: Indexes::default(),
            failed_indexes: None,
            last_failed: BTreeMap::new(),
            failures,
            pods,
        };
        view.count();
        view
    }

    fn count(&mut self) {
        let (job, status) = (self.job, |field| number(self.job, &["status", field]));
        let succeeded = self.valid(&self.uncounted.0, |pod| pod.pod.phase == Phase::Succeeded);
        let failed = self.valid(&self.uncounted.1, |pod| self.has_failed(pod));
        let counted = failed
            .iter()
            .filter(|pod| judge(job, pod) != Verdict::Ignore);
        let (successes, failures) = (succeeded.len(), counted.count());
        let sum = |counted: i64, new: usize, known: usize| counted + size(new) + size(known);
        let sums = (
            sum(status("succeeded"), successes, self.uncounted.0.len()),
            sum(status("failed"), failures, self.uncounted.1.len()),
        );
        (self.succeeded, self.failed) = sums;
        self.failures = self.failures.after(&succeeded, &failed);
        if self.indexed {
            self.count_indexes();
        }
    }

    fn count_indexes(&mut self) {
        let completions = self.completions.unwrap_or(0);
        let listed = |field| Indexes::parse(self.job.str_at(&["status", field]), completions);
        let tracked = |pod: &&Arc<Member>| facts(pod).tracked;
        let pods = || self.pods.iter().filter(tracked);
        let index = |pod: &Member| facts(pod).index.filter(|index| *index < completions);
        // One that is booked as failed stays so, though it has ended well since.
        let booked = |pod: &Member| self.uncounted.1.contains(&*pod.uid);
        let successes = pods().filter(|pod| pod.pod.phase == Phase::Succeeded && !booked(pod));
        let before = listed("completedIndexes");
        let done = before.with(successes.filter_map(|pod| index(pod)));
        if has_limit_per_index(self.job) {
            let failures = pods().filter(|pod| self.has_failed_index(pod));
            let failed = listed("failedIndexes").with(failures.filter_map(|pod| index(pod)));
            self.last_failed = self.last_failed(&done, &failed);
            self.failed_indexes = Some(failed);
        }
        self.succeeded = i64::from(done.len());
        (self.done_before, self.done) = (before, done);
    }

    /// The index of a pod, if it has one that the Job has.
    pub(super) fn index(&self, pod: &Member) -> Option<u32> {
        let end = self.completions.unwrap_or(0);
        facts(pod).index.filter(|index| *index < end)
    }

    /// Pods that are not counted, nor named as such in the status, and pass `wanted`.
    fn valid(&self, known: &HashSet<String>, wanted: impl Fn(&Member) -> bool) -> Vec<Arc<Member>> {
        let new = |pod: &&Arc<Member>| facts(pod).tracked && !known.contains(&*pod.uid);
        let pods = self.pods.iter().filter(new);
        let pods = pods.filter(|pod| !self.indexed || self.index(pod).is_some());
        pods.filter(|pod| wanted(pod)).cloned().collect()
    }

    /// Whether a pod counts as failed: one that goes does, unless it is waited for.
    pub(super) fn has_failed(&self, pod: &Member) -> bool {
        let lost = pod.deleting && pod.pod.phase != Phase::Succeeded;
        pod.pod.phase == Phase::Failed || (lost && !self.only_ended)
    }

    fn has_failed_index(&self, pod: &Member) -> bool {
        let limit = number(self.job, &["spec", "backoffLimitPerIndex"]);
        self.has_failed(pod)
            && match judge(self.job, pod) {
                Verdict::FailIndex => true,
                Verdict::Ignore => false,
                Verdict::Count | Verdict::FailJob(_) => facts(pod).failures.0 >= limit,
            }
    }

    fn last_failed(&self, done: &Indexes, failed: &Indexes) -> BTreeMap<u32, Arc<Member>> {
        let active: BTreeSet<u32> = self
            .active
            .iter()
            .filter_map(|pod| facts(pod).index)
            .collect();
        let mut last: BTreeMap<u32, Arc<Member>> = BTreeMap::new();
        for pod in self.valid(&HashSet::new(), |pod| self.has_failed(pod)) {
            let Some(index) = self.index(&pod) else {
                continue;
            };
            if done.has(index) || failed.has(index) || active.contains(&index) {
                continue;
            }
            let newer = last.get(&index).is_none_or(|before| {
                absolute_failures(before) <= absolute_failures(&pod)
                    && finished(&pod) >= finished(before)
            });
            if newer {
                last.insert(index, pod);
            }
        }
        last
    }

    /// The last words of a condition that holds: reason and message.
    pub(super) fn holds(&self, kind: &str) -> Option<(String, String)> {
        let list = conditions::of(self.job);
        let found = conditions::find(&list, kind)?;
        (conditions::text(found, "status") == "True").then(|| {
            let text = |field| conditions::text(found, field).to_owned();
            (text("reason"), text("message"))
        })
    }
}

/// How often pods of its index have failed before it, those that do not count included.
pub(super) fn absolute_failures(pod: &Member) -> u32 {
    let (counted, ignored) = facts(pod).failures;
    u32::try_from(counted.saturating_add(ignored)).unwrap_or(u32::MAX)
}

/// What the annotations of the pod say that comes after `failed`: failures that count, and others.
pub(super) fn failures_after(job: &Object, failed: Option<&Member>) -> (i64, i64) {
    let Some(pod) = failed else {
        return (0, 0);
    };
    let (counted, ignored) = facts(pod).failures;
    match judge(job, pod) {
        Verdict::Ignore => (counted, ignored + 1),
        _ => (counted + 1, ignored),
    }
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The unique ids of a list of `status.uncountedTerminatedPods`.
fn uncounted(job: &Object, list: &str) -> HashSet<String> {
    let list = job.get(&["status", "uncountedTerminatedPods", list]);
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
