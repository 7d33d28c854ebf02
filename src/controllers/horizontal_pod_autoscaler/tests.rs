//! Autoscaling without a cluster: what a use proposes, and how it is set over time.

use super::calculate::{Proposal, Sample, Samples, Target, Tolerance, propose, requests};
use super::normalize::{Bounds, History};
use crate::meta::Object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

const TENTH: Tolerance = Tolerance { down: 0.1, up: 0.1 };

/// A pod that asks for a whole core; what it is: ready, unready, pending, going.
fn pod(name: &str, what: &str) -> Object {
    let status = if what == "unready" { "False" } else { "True" };
    let phase = if what == "pending" {
        "Pending"
    } else {
        "Running"
    };
    let mut pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {
            "phase": phase, "startTime": at(-3600).to_string(),
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": at(-3590).to_string()}],
        },
    });
    if what == "going" {
        pod["metadata"]["deletionTimestamp"] = json!(at(0).to_string());
    }
    Object::from_value(pod).unwrap()
}

/// What pods of these kinds with these uses (thousandths; negative: not measured) propose.
fn proposal(kinds: &[&str], uses: &[i64], percent: i64) -> Result<Proposal, String> {
    let names: Vec<String> = (0..kinds.len()).map(|place| format!("p{place}")).collect();
    let pods: Vec<Object> = names
        .iter()
        .zip(kinds)
        .map(|(name, what)| pod(name, what))
        .collect();
    let sample = |value: &i64| Sample {
        value: *value,
        at: at(0),
        window: SignedDuration::from_secs(15),
    };
    let samples: Samples = names
        .iter()
        .zip(uses)
        .filter(|(_, value)| **value >= 0)
        .map(|(name, value)| (name.clone(), sample(value)))
        .collect();
    let asked = requests(&pods, "cpu", "").unwrap();
    let target = Target::Utilization(percent, &asked);
    let current = kinds.iter().filter(|what| **what != "going").count() as i64;
    propose(&pods, samples, (&target, true), (current, TENTH), at(0))
}

#[test]
fn as_many_pods_are_proposed_as_bring_the_use_to_its_target() {
    let replicas =
        |kinds: &[&str], uses: &[i64], percent| proposal(kinds, uses, percent).unwrap().replicas;
    let three = ["ready"; 3];
    assert_eq!(replicas(&three, &[300, 500, 700], 30), 5);
    assert_eq!(replicas(&three, &[300, 500, 700], 100), 2);
    assert_eq!(replicas(&three, &[500, 500, 540], 50), 3, "near enough");
    assert_eq!(
        replicas(&["ready", "ready", "pending"], &[500, 700, -1], 30),
        4,
        "a new one uses nothing yet"
    );
    assert_eq!(
        replicas(&["ready", "ready", "unready"], &[500, 700, 1000], 30),
        4
    );
    assert_eq!(
        replicas(&["ready"; 2], &[1000, -1], 50),
        2,
        "a missing one may use nothing"
    );
    assert_eq!(
        replicas(&["ready"; 3], &[100, 100, -1], 50),
        3,
        "a missing one may use all it may"
    );
    assert_eq!(replicas(&["ready", "going"], &[900, 900], 30), 3);
    let told = proposal(&three, &[300, 500, 700], 30).unwrap();
    assert_eq!((told.utilization, told.average), (Some(50), 500));
    let unready = proposal(&["pending"], &[-1], 50).unwrap_err();
    assert_eq!(
        unready,
        "did not receive metrics for targeted pods (pods might be unready)"
    );
    let mut greedy = pod("p0", "ready");
    greedy.remove(&["spec", "containers"]);
    greedy.set(&["spec", "containers"], json!([{"name": "c"}]));
    let error = requests(&[greedy], "cpu", "").unwrap_err();
    assert_eq!(error, "missing request for cpu in container c of Pod p0");
}

/// Sets the size anew every 15 seconds; answers the sizes.
fn walk(
    wanted: &[i64],
    mut current: i64,
    (min, max): (i64, i64),
    behavior: Option<&Value>,
) -> Vec<i64> {
    let mut history = History::default();
    history.begin(current, at(0));
    let mut sizes = Vec::new();
    for (turn, wanted) in wanted.iter().enumerate() {
        let now = at(15 * turn as i64);
        let bounds = Bounds {
            current,
            min,
            max,
            behavior,
            now,
        };
        let (set, _) = history.normalize(*wanted, bounds);
        if set != current {
            history.changed(current, set, now);
        }
        current = set;
        sizes.push(current);
    }
    sizes
}

#[test]
fn without_a_behaviour_pods_double_at_most_and_go_after_five_minutes() {
    assert_eq!(walk(&[20, 20, 20, 20], 1, (1, 15), None), [4, 8, 15, 15]);
    let mut wanted = vec![10];
    wanted.resize(22, 2);
    let sizes = walk(&wanted, 10, (1, 20), None);
    assert_eq!(sizes[..20], [10; 20]);
    assert_eq!(sizes[20..], [2, 2], "300 seconds after ten were wanted");
    assert_eq!(walk(&[0], 1, (1, 5), None), [1]);
}

#[test]
fn a_behaviour_says_how_fast_pods_come_and_go() {
    let behavior = json!({
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
            {"type": "Pods", "value": 2, "periodSeconds": 60},
            {"type": "Percent", "value": 10, "periodSeconds": 60},
        ]},
        "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Min", "policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 30},
            {"type": "Percent", "value": 50, "periodSeconds": 30},
        ]},
    });
    assert_eq!(
        walk(&[9; 6], 3, (1, 20), Some(&behavior)),
        [5, 5, 5, 5, 7, 7]
    );
    assert_eq!(walk(&[1; 5], 6, (1, 20), Some(&behavior)), [5, 5, 4, 4, 3]);
    let fixed = json!({"scaleUp": {"selectPolicy": "Disabled"},
                       "scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}});
    assert_eq!(walk(&[9, 1], 3, (1, 20), Some(&fixed)), [3, 3]);
    let slow = json!({
        "scaleUp": {"stabilizationWindowSeconds": 30, "policies": [{"type": "Percent", "value": 1000, "periodSeconds": 15}]},
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    });
    assert_eq!(
        walk(&[3, 9, 9, 9], 3, (1, 20), Some(&slow)),
        [3, 3, 9, 9],
        "the lowest of 30 seconds"
    );
}

#[test]
fn what_is_said_names_the_limit() {
    let mut history = History::default();
    history.begin(2, at(0));
    let bounds = Bounds {
        current: 2,
        min: 1,
        max: 3,
        behavior: None,
        now: at(0),
    };
    let (set, [able, limited]) = history.normalize(8, bounds);
    assert_eq!(set, 3);
    assert_eq!(
        (able.0, able.1, able.2),
        ("AbleToScale", true, "ReadyForNewScale")
    );
    assert_eq!(
        (limited.0, limited.1, limited.2),
        ("ScalingLimited", true, "TooManyReplicas")
    );
    let (_, [able, _]) = history.normalize(1, bounds);
    assert_eq!(able.2, "ScaleDownStabilized");
}
