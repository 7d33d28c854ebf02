//! How long a Job waits before it makes pods anew after failures: ten seconds, doubled each time, at
//! most ten minutes. Pure, but for the memory of what has failed, which is lost with the process.
//! Kubernetes: `pkg/controller/job/backoff_utils.go`.

use crate::controllers::members::Member;
use crate::meta::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The wait after the first failure. Kubernetes: DefaultJobPodFailureBackOff.
const FIRST: Duration = Duration::from_secs(10);
/// The longest wait. Kubernetes: MaxJobPodFailureBackOff.
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of a Job since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// How many.
    count: u32,
    /// When the last one was.
    last: Option<Timestamp>,
}

/// When a pod ended.
pub(super) fn finished(pod: &Member) -> Timestamp {
    let facts = pod.pod.job.as_deref();
    facts.map_or(pod.created, |facts| facts.finished)
}

impl Failures {
    /// After more pods have ended.
    pub(super) fn after(self, succeeded: &[Arc<Member>], failed: &[Arc<Member>]) -> Self {
        let times = |pods: &[Arc<Member>]| pods.iter().map(|pod| finished(pod)).max();
        let Some(success) = times(succeeded) else {
            let more = u32::try_from(failed.len()).unwrap_or(u32::MAX);
            return Self {
                count: self.count.saturating_add(more),
                last: times(failed).or(self.last),
            };
        };
        let since = || {
            failed
                .iter()
                .map(|pod| finished(pod))
                .filter(|at| *at > success)
        };
        Self {
            count: u32::try_from(since().count()).unwrap_or(u32::MAX),
            last: since().max(),
        }
    }

    /// How long is still to be waited.
    pub(super) fn left(self, now: Timestamp) -> Option<Duration> {
        left(self.count, self.last?, now)
    }
}

/// How long is still to be waited after `count` failures, the last of them at `last`.
pub(super) fn left(count: u32, last: Timestamp, now: Timestamp) -> Option<Duration> {
    let doubled = 2_u32.saturating_pow(count.checked_sub(1)?.min(16));
    let wait = FIRST.saturating_mul(doubled).min(LONGEST);
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let left = wait.saturating_sub(now.duration_since(last));
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

/// The failures of all Jobs that run. As many as there are Jobs at most: who is gone or finished is
/// forgotten.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<ObjectKey, (String, Failures)>>);

impl Memory {
    /// What is known of the Job with this name and unique id.
    pub(super) fn of(&self, key: &ObjectKey, uid: &str) -> Failures {
        let all = self.0.lock();
        let known = all.get(key).filter(|(whose, _)| whose == uid);
        known.map(|(_, failures)| *failures).unwrap_or_default()
    }

    /// Remembers.
    pub(super) fn set(&self, key: &ObjectKey, uid: &str, failures: Failures) {
        let mut all = self.0.lock();
        if failures == Failures::default() {
            all.remove(key);
        } else {
            all.insert(key.clone(), (uid.to_owned(), failures));
        }
    }

    /// Forgets a Job.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Object;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pods(ends: &[i64]) -> Vec<Arc<Member>> {
        let pod = |end: &i64| {
            let pod = json!({"metadata": {"name": "p", "creationTimestamp": at(*end).to_string()}});
            Arc::new(Member::of(&Object::from_value(pod).unwrap()))
        };
        ends.iter().map(pod).collect()
    }

    #[test]
    fn the_wait_doubles_and_a_success_ends_it() {
        let waits: Vec<Option<u64>> = (0..9)
            .map(|count| left(count, at(0), at(0)).map(|wait| wait.as_secs()))
            .collect();
        let expected = [
            None,
            Some(10),
            Some(20),
            Some(40),
            Some(80),
            Some(160),
            Some(320),
        ];
        assert_eq!(waits[..7], expected);
        assert_eq!(waits[7..], [Some(600), Some(600)]);
        let failures = Failures::default().after(&[], &pods(&[5, 3]));
        assert_eq!(failures.left(at(6)), Some(Duration::from_secs(19)));
        assert_eq!(failures.after(&[], &[]), failures);
        assert_eq!(
            failures.after(&pods(&[6]), &pods(&[4])),
            Failures::default()
        );
        let again = failures.after(&pods(&[6]), &pods(&[4, 7]));
        assert_eq!(again.left(at(8)), Some(Duration::from_secs(9)));
    }

    #[test]
    fn another_job_of_the_same_name_starts_anew() {
        let memory = Memory::default();
        let key = ObjectKey::new("n", "j");
        let failures = Failures::default().after(&[], &pods(&[1]));
        memory.set(&key, "one", failures);
        assert_eq!(memory.of(&key, "one"), failures);
        assert_eq!(memory.of(&key, "two"), Failures::default());
        memory.forget(&key);
        assert_eq!(memory.of(&key, "one"), Failures::default());
    }
}
