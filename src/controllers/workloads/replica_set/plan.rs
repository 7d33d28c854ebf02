//! What a ReplicaSet needs, and what its status says: pure.
//! Kubernetes: `pkg/controller/replicaset/replica_set.go` manageReplicas,
//! `replica_set_utils.go` calculateStatus.

use super::rank;
use crate::controllers::members::Member;
use crate::controllers::workloads::{conditions, number};
use crate::meta::Object;
use crate::meta::labels::Selector;
use crate::meta::time::rfc3339;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Act {
    /// There are as many as are wanted.
    Nothing,
    /// So many pods more.
    Create(usize),
    /// These pods less.
    Delete(Vec<Arc<Member>>),
}

/// Decides. `active` are the set's pods that are to stay, `related` those of its Deployment.
pub(super) fn act(
    set: &Object,
    active: &[Arc<Member>],
    related: impl FnOnce() -> Vec<Arc<Member>>,
    now: Timestamp,
) -> Act {
    let wanted = usize::try_from(number(set, &["spec", "replicas"])).unwrap_or(0);
    if active.len() < wanted {
        Act::Create(wanted - active.len())
    } else if active.len() > wanted {
        let surplus = active.len() - wanted;
        let mut doomed = active.to_vec();
        if wanted > 0 {
            rank::first_to_go_first(&mut doomed, &related(), now);
        }
        doomed.truncate(surplus);
        Act::Delete(doomed)
    } else {
        Act::Nothing
    }
}

/// The pods of a set, counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    replicas: usize,
    fully_labeled: usize,
    ready: usize,
    available: usize,
    terminating: usize,
    /// When the next of them will be available, if one is ready and not yet so.
    pub(super) next_available: Option<Duration>,
}

impl Counted {
    pub(super) fn new(
        set: &Object,
        active: &[Arc<Member>],
        terminating: usize,
        now: Timestamp,
    ) -> Self {
        let labels = set.get(&["spec", "template", "metadata", "labels"]);
        let labels = labels.and_then(Value::as_object).into_iter().flatten();
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        let labels: Vec<(&str, String)> = labels.map(|(k, v)| (k.as_str(), text(v))).collect();
        let labels = Selector::from_labels(labels.iter().map(|(k, v)| (*k, v.as_str())));
        let wait = SignedDuration::from_secs(number(set, &["spec", "minReadySeconds"]));
        let mut counted = Self {
            replicas: active.len(),
            terminating,
            ..Self::default()
        };
        for pod in active {
            counted.fully_labeled += usize::from(pod.matches(&labels));
            let Some(since) = pod.pod.ready else { continue };
            counted.ready += 1;
            let left = wait.saturating_sub(now.duration_since(since));
            match Duration::try_from(left) {
                Ok(left) if !left.is_zero() => {
                    let next = counted.next_available.get_or_insert(left);
                    *next = left.min(*next);
                }
                _ => counted.available += 1,
            }
        }
        counted
    }
}

/// The status, if it is to be written: another than stands there, or of an older generation.
pub(super) fn status(
    set: &Object,
    counted: &Counted,
    act: &Act,
    failure: Option<&str>,
    now: Timestamp,
) -> Option<Value> {
    let empty = Map::new();
    let current = set
        .get(&["status"])
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut status = current.clone();
    let mut found = conditions::of(set);
    match failure {
        Some(message) => {
            if conditions::find(&found, "ReplicaFailure").is_none() {
                let reason = match act {
                    Act::Delete(_) => "FailedDelete",
                    Act::Create(_) | Act::Nothing => "FailedCreate",
                };
                let condition = json!({
                    "type": "ReplicaFailure",
                    "status": "True",
                    "lastTransitionTime": rfc3339(now),
                    "reason": reason,
                    "message": message,
                });
                conditions::set(&mut found, condition);
            }
        }
        None => conditions::remove(&mut found, "ReplicaFailure"),
    }
    conditions::put(&mut status, found);
    status.insert("replicas".to_owned(), json!(counted.replicas));
    let mut count = |name: &str, count: usize| match count {
        0 => status.remove(name),
        count => status.insert(name.to_owned(), json!(count)),
    };
    count("fullyLabeledReplicas", counted.fully_labeled);
    count("readyReplicas", counted.ready);
    count("availableReplicas", counted.available);
    // A ReplicationController has none.
    if set.get(&["spec", "selector", "matchLabels"]).is_some()
        || set.get(&["spec", "selector", "matchExpressions"]).is_some()
    {
        status.insert("terminatingReplicas".to_owned(), json!(counted.terminating));
    }
    status.insert("observedGeneration".to_owned(), json!(set.generation()));
    (status != *current).then_some(Value::Object(status))
}
