//! How many pods of a budget may go now, and what its status says: pure.
//! Kubernetes: `pkg/controller/disruption/disruption.go` getExpectedPodCount, countHealthyPods,
//! buildDisruptedPodMap, updatePdbStatus.

use crate::controllers::members::Member;
use crate::controllers::workloads::number_or_percent;
use crate::meta::Object;
use crate::meta::time::{parse, rfc3339};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How long a pod whose eviction was allowed may take to be deleted. Kubernetes: DeletionTimeout.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// How many pods there are to be.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) count: i64,
    /// Whether nobody keeps some of them.
    pub(super) unmanaged: bool,
}

/// Pods of a budget, counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    healthy: i64,
    desired: i64,
    expected: i64,
    /// Pods whose eviction was allowed and that are not yet deleted, with the time of it.
    disrupted: Map<String, Value>,
    /// Those that were not deleted in time.
    pub(super) stayed: Vec<String>,
    /// When the next of them is given up.
    pub(super) next: Option<Duration>,
}

/// Whether the pods that are there are all that there are to be: a plain number must stay.
pub(super) fn counts_what_is_there(budget: &Object) -> bool {
    let is_set = |field| {
        budget
            .get(&["spec", field])
            .is_some_and(|value| !value.is_null())
    };
    !is_set("maxUnavailable")
        && !budget
            .get(&["spec", "minAvailable"])
            .is_some_and(Value::is_string)
}

/// Counts.
pub(super) fn count(
    budget: &Object,
    pods: &[Arc<Member>],
    expected: &Expected,
    now: Timestamp,
) -> Counted {
    let spec = |field| {
        budget
            .get(&["spec", field])
            .filter(|value| !value.is_null())
    };
    let desired = match (spec("maxUnavailable"), spec("minAvailable")) {
        (Some(most), _) => expected.count - number_or_percent(Some(most), expected.count, true),
        (None, Some(least)) => number_or_percent(Some(least), expected.count, true),
        (None, None) => 0,
    };
    let mut counted = Counted {
        desired: desired.max(0),
        expected: match (spec("maxUnavailable"), spec("minAvailable")) {
            (None, None) => 0,
            _ => expected.count,
        },
        ..Counted::default()
    };
    let disrupted = budget
        .get(&["status", "disruptedPods"])
        .and_then(Value::as_object);
    for pod in pods.iter().filter(|pod| !pod.deleting) {
        let name = pod.key.name.as_str();
        let since = disrupted.and_then(|all| all.get(name));
        let until = since.and_then(Value::as_str).and_then(parse);
        let until = until.and_then(|since| since.checked_add(DELETION_TIMEOUT).ok());
        match (until, since) {
            (Some(until), Some(since)) if until >= now => {
                counted.disrupted.insert(name.to_owned(), since.clone());
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                let left = left.max(Duration::from_millis(1));
                counted.next = Some(counted.next.map_or(left, |next| next.min(left)));
                continue;
            }
            (Some(_), _) => counted.stayed.push(name.to_owned()),
            _ => {}
        }
        counted.healthy += i64::from(pod.pod.ready.is_some());
    }
    counted
}

/// The status, if it is to be another.
pub(super) fn status(budget: &Object, counted: &Counted, now: Timestamp) -> Option<Value> {
    let allowed = match counted.expected {
        0 => 0,
        _ => (counted.healthy - counted.desired).max(0),
    };
    let (holds, reason) = match allowed {
        0 => ("False", "InsufficientPods"),
        _ => ("True", "SufficientPods"),
    };
    let mut status = json!({
        "currentHealthy": counted.healthy,
        "desiredHealthy": counted.desired,
        "expectedPods": counted.expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": budget.generation(),
        "conditions": [condition(budget, (holds, reason, ""), budget.generation(), now)],
    });
    if let Some(status) = status
        .as_object_mut()
        .filter(|_| !counted.disrupted.is_empty())
    {
        status.insert("disruptedPods".to_owned(), json!(counted.disrupted));
    }
    (budget.get(&["status"]) != Some(&status)).then_some(status)
}

/// The status when it cannot be counted: nothing may go.
pub(super) fn failed(budget: &Object, error: &str, now: Timestamp) -> Option<Value> {
    let mut status = budget
        .get(&["status"])
        .cloned()
        .unwrap_or_else(|| json!({}));
    let observed = status
        .get("observedGeneration")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let condition = condition(budget, ("False", "SyncFailed", error), observed, now);
    let fields = status.as_object_mut()?;
    for field in ["currentHealthy", "desiredHealthy", "expectedPods"] {
        fields.entry(field).or_insert(json!(0));
    }
    fields.insert("disruptionsAllowed".to_owned(), json!(0));
    fields.insert("conditions".to_owned(), json!([condition]));
    (budget.get(&["status"]) != Some(&status)).then_some(status)
}

fn condition(
    budget: &Object,
    (holds, reason, message): (&str, &str, &str),
    observed: i64,
    now: Timestamp,
) -> Value {
    let known = budget
        .get(&["status", "conditions"])
        .and_then(Value::as_array);
    let known = known.into_iter().flatten().find(|one| {
        one.get("type") == Some(&json!("DisruptionAllowed"))
            && one.get("status") == Some(&json!(holds))
    });
    let since = known.and_then(|one| one.get("lastTransitionTime")).cloned();
    json!({
        "type": "DisruptionAllowed",
        "status": holds,
        "observedGeneration": observed,
        "lastTransitionTime": since.unwrap_or_else(|| json!(rfc3339(now))),
        "reason": reason,
        "message": message,
    })
}

/// A selector as Go prints it.
pub(crate) fn go_selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
        return "nil".to_owned();
    };
    let mut labels = String::new();
    let found = selector.get("matchLabels").and_then(Value::as_object);
    for (key, value) in found.into_iter().flatten() {
        let _ = write!(labels, "{key}: {},", value.as_str().unwrap_or_default());
    }
    let mut expressions = String::new();
    let found = selector.get("matchExpressions").and_then(Value::as_array);
    for one in found.into_iter().flatten() {
        let text = |field: &str| one.get(field).and_then(Value::as_str).unwrap_or_default();
        let values = one.get("values").and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        let _ = write!(
            expressions,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
            text("key"),
            text("operator"),
            values.collect::<Vec<_>>().join(" ")
        );
    }
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

/// What is told when nobody keeps some of the pods.
pub(super) fn unmanaged(budget: &Object) -> String {
    let selector = go_selector(budget.get(&["spec", "selector"]));
    format!(
        "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be \
         unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may \
         result in undefined behavior. To account for these pods please set \".spec.minAvailable\" \
         field of the PDB to an integer value."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Member>> {
        let pod = |place: usize| {
            let status = if place < ready { "True" } else { "False" };
            let pod = json!({
                "metadata": {"name": format!("p{place}")},
                "status": {"conditions": [{"type": "Ready", "status": status}]},
            });
            Arc::new(Member::of(&Object::from_value(pod).unwrap()))
        };
        (0..ready + unready).map(pod).collect()
    }

    fn budget(spec: Value, status: Value) -> Object {
        let budget = json!({"metadata": {"generation": 3}, "spec": spec, "status": status});
        Object::from_value(budget).unwrap()
    }

    const NOW: &str = "2026-01-01T00:10:00Z";

    #[test]
    fn what_may_go_is_what_is_healthy_beyond_what_must_stay() {
        // spec, pods wanted, ready, unready; desired, allowed
        for (spec, wanted, ready, unready, desired, allowed) in [
            (json!({"minAvailable": 2}), 3, 3, 0, 2, 1),
            (json!({"minAvailable": 2}), 3, 1, 2, 2, 0),
            (json!({"minAvailable": "50%"}), 5, 5, 0, 3, 2),
            (json!({"maxUnavailable": 1}), 4, 4, 0, 3, 1),
            (json!({"maxUnavailable": 1}), 4, 3, 1, 3, 0),
            (json!({"maxUnavailable": "30%"}), 10, 10, 0, 7, 3),
            (json!({"maxUnavailable": "100%"}), 3, 2, 0, 0, 2),
            (json!({"minAvailable": 0}), 0, 0, 0, 0, 0),
        ] {
            let expected = Expected {
                count: wanted,
                unmanaged: false,
            };
            let budget = budget(spec.clone(), json!({}));
            let counted = count(
                &budget,
                &pods(ready, unready),
                &expected,
                parse(NOW).unwrap(),
            );
            let status = status(&budget, &counted, parse(NOW).unwrap()).unwrap();
            let shown = (&status["desiredHealthy"], &status["disruptionsAllowed"]);
            assert_eq!(shown, (&json!(desired), &json!(allowed)), "{spec}");
            assert_eq!(status["observedGeneration"], 3);
            let holds = if allowed > 0 {
                ("True", "SufficientPods")
            } else {
                ("False", "InsufficientPods")
            };
            let condition = &status["conditions"][0];
            assert_eq!(
                (&condition["status"], &condition["reason"]),
                (&json!(holds.0), &json!(holds.1))
            );
        }
    }

    #[test]
    fn an_allowed_eviction_counts_until_the_pod_is_deleted_or_given_up() {
        let going = json!({"disruptedPods": {
            "p0": "2026-01-01T00:09:30Z", "p1": "2026-01-01T00:07:00Z", "gone": NOW,
        }});
        let budget = budget(json!({"minAvailable": 1}), going);
        let expected = Expected {
            count: 3,
            unmanaged: false,
        };
        let counted = count(&budget, &pods(3, 0), &expected, parse(NOW).unwrap());
        assert_eq!(counted.healthy, 2);
        assert_eq!(counted.stayed, ["p1"]);
        assert_eq!(counted.next, Some(Duration::from_secs(90)));
        assert_eq!(counted.disrupted.keys().collect::<Vec<_>>(), ["p0"]);
    }

    #[test]
    fn what_cannot_be_counted_lets_nothing_go() {
        let known = json!({"disruptionsAllowed": 2, "observedGeneration": 1});
        let budget = budget(json!({"maxUnavailable": 1}), known);
        let status = failed(
            &budget,
            "found no controllers for pod \"p\"",
            parse(NOW).unwrap(),
        )
        .unwrap();
        assert_eq!(status["disruptionsAllowed"], 0);
        assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
        let shown = go_selector(Some(&json!({"matchLabels": {"a": "b"}})));
        let words = "&LabelSelector{MatchLabels:map[string]string{a: b,},\
                     MatchExpressions:[]LabelSelectorRequirement{},}";
        assert_eq!(shown, words);
        assert!(unmanaged(&budget).contains("(selector: nil)"));
    }
}
