//! What a Job must know of a pod beyond what every workload knows: whether it is counted already,
//! its index, how and when it ended. Must not know what a Job does with it.
//! Kubernetes: `pkg/controller/job` getFinishedTime, getCompletionIndex.

use crate::meta::{Object, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The finalizer of a pod that its Job has not yet counted.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and label of a pod's index.
pub(crate) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation of how often earlier pods of the index have failed.
pub(crate) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The annotation of how often they have failed without its being counted.
pub(crate) const INDEX_IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A pod of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobFacts {
    /// Whether [`TRACKING`] is on it.
    pub(crate) tracked: bool,
    /// Its index; none if it has none that is a number.
    pub(crate) index: Option<u32>,
    /// Failures of earlier pods of its index: those that count, those that do not.
    pub(crate) failures: (i64, i64),
    /// When it ended; of one that runs nobody asks.
    pub(crate) finished: Timestamp,
    /// Restarts of all its containers together.
    pub(crate) restarts: i64,
    /// Type and status of its conditions.
    pub(crate) conditions: Box<[(Box<str>, Box<str>)]>,
    /// Its containers that ended badly, then the init containers: name and exit code.
    pub(crate) exits: Box<[(Box<str>, i64)]>,
}

impl JobFacts {
    /// The facts of a pod that a Job has, or had.
    pub(crate) fn of(pod: &Object) -> Option<Box<Self>> {
        let tracked = pod.finalizers().any(|finalizer| finalizer == TRACKING);
        let owners = pod.get(&["metadata", "ownerReferences"]);
        let owners = owners.and_then(Value::as_array).into_iter().flatten();
        let is_job = |owner: &Value| owner.get("kind").and_then(Value::as_str) == Some("Job");
        if !tracked && !owners.into_iter().any(is_job) {
            return None;
        }
        let count = |name| {
            let text = pod.annotation(name)?;
            text.parse::<i64>().ok().filter(|count| *count >= 0)
        };
        let index = count(INDEX).and_then(|index| u32::try_from(index).ok());
        let statuses =
            || items(pod, "containerStatuses").chain(items(pod, "initContainerStatuses"));
        let restarts = statuses().filter_map(|one| one.get("restartCount")?.as_i64());
        let conditions = items(pod, "conditions");
        Some(Box::new(Self {
            tracked,
            index,
            failures: (
                count(INDEX_FAILURES).unwrap_or(0),
                count(INDEX_IGNORED).unwrap_or(0),
            ),
            finished: finished(pod),
            restarts: restarts.sum(),
            conditions: conditions
                .map(|one| (text(one, "type").into(), text(one, "status").into()))
                .collect(),
            exits: statuses()
                .filter_map(|one| {
                    let code = one.pointer("/state/terminated/exitCode")?.as_i64()?;
                    (code != 0).then(|| (text(one, "name").into(), code))
                })
                .collect(),
        }))
    }
}

fn items<'a>(pod: &'a Object, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let list = pod.get(&["status", list]).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// When a pod ended: with its last container, or when it became unready, or was told to go.
fn finished(pod: &Object) -> Timestamp {
    let created = || time::parse(pod.str_at(&["metadata", "creationTimestamp"]));
    of_containers(pod)
        .or_else(|| unready(pod))
        .or_else(|| told_to_go(pod))
        .or_else(created)
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn of_containers(pod: &Object) -> Option<Timestamp> {
    let init = pod
        .get(&["spec", "initContainers"])
        .and_then(Value::as_array);
    let sidecars: Vec<&str> = init
        .into_iter()
        .flatten()
        .filter(|container| text(container, "restartPolicy") == "Always")
        .map(|container| text(container, "name"))
        .collect();
    let beside = items(pod, "initContainerStatuses")
        .filter(|status| sidecars.contains(&text(status, "name")));
    let mut last = None;
    for status in items(pod, "containerStatuses").chain(beside) {
        let at = status.pointer("/state/terminated/finishedAt")?;
        last = last.max(Some(time::parse(at.as_str()?)?));
    }
    last
}

fn unready(pod: &Object) -> Option<Timestamp> {
    let ready = items(pod, "conditions").find(|one| text(one, "type") == "Ready")?;
    let since = time::parse(text(ready, "lastTransitionTime"))?;
    (text(ready, "status") == "False").then_some(since)
}

fn told_to_go(pod: &Object) -> Option<Timestamp> {
    let at = time::parse(pod.deletion_timestamp()?)?;
    let grace = pod.get(&["metadata", "deletionGracePeriodSeconds"]);
    let grace = grace.and_then(Value::as_i64).unwrap_or(0);
    at.checked_sub(SignedDuration::from_secs(grace)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(pod: Value) -> Option<Box<JobFacts>> {
        JobFacts::of(&Object::from_value(pod).unwrap())
    }

    #[test]
    fn only_pods_of_jobs_have_facts() {
        assert_eq!(facts(json!({"metadata": {"name": "p"}})), None);
        let left = facts(json!({"metadata": {"finalizers": [TRACKING]}})).unwrap();
        assert!(left.tracked, "nobody owns it, and it is not counted");
    }

    #[test]
    fn a_pod_ends_with_its_last_container_or_as_well_as_can_be_told() {
        let pod = |more: Value, status: Value| {
            let mut pod = json!({
                "metadata": {
                    "ownerReferences": [{"kind": "Job", "name": "j", "uid": "j"}],
                    "annotations": {INDEX: "3", INDEX_FAILURES: "2"},
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                },
                "spec": {"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]},
                "status": status,
            });
            for (key, value) in more.as_object().unwrap() {
                pod["metadata"][key] = value.clone();
            }
            *facts(pod).unwrap()
        };
        let ended = |name: &str, code: i64, second: u32| {
            let at = format!("2026-01-01T00:00:{second:02}Z");
            json!({"name": name, "restartCount": 1,
                   "state": {"terminated": {"exitCode": code, "finishedAt": at}}})
        };
        let at = |second: i64| {
            time::parse("2026-01-01T00:00:00Z").unwrap() + SignedDuration::from_secs(second)
        };
        let all = pod(
            json!({}),
            json!({"containerStatuses": [ended("a", 0, 5), ended("b", 7, 9)],
                   "initContainerStatuses": [ended("i", 1, 30), ended("s", 0, 11)]}),
        );
        assert_eq!(
            all.finished,
            at(11),
            "an init container is long gone, a sidecar is last"
        );
        assert_eq!(
            (all.index, all.failures, all.restarts),
            (Some(3), (2, 0), 4)
        );
        assert_eq!(&*all.exits, [("b".into(), 7), ("i".into(), 1)]);
        let unready = json!([{"type": "Ready", "status": "False",
                              "lastTransitionTime": "2026-01-01T00:00:20Z"}]);
        assert_eq!(
            pod(json!({}), json!({"conditions": unready})).finished,
            at(20)
        );
        let going = json!({"deletionTimestamp": "2026-01-01T00:01:00Z",
                           "deletionGracePeriodSeconds": 30});
        assert_eq!(pod(going, json!({})).finished, at(30));
        assert_eq!(pod(json!({}), json!({})).finished, at(0));
    }
}
