//! What a StatefulSet decides, case by case, and over random lives of small clusters.

use super::identity;
use super::plan::{Act, Plan, View, plan};
use crate::controllers::members::Member;
use crate::meta::Object;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn set(spec: Value) -> Object {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "s", "generation": 1},
        "spec": {"replicas": 3, "serviceName": "svc",
                 "selector": {"matchLabels": {"app": "a"}},
                 "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
    });
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    Object::from_value(object).unwrap()
}

/// A pod as the simulation keeps it.
#[derive(Clone, Debug)]
struct Pod {
    uid: usize,
    revision: &'static str,
    phase: &'static str,
    ready: Option<i64>,
    deleting: bool,
}

fn member(name: &str, pod: &Pod) -> Arc<Member> {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "n", "uid": pod.uid.to_string(),
            "labels": {"controller-revision-hash": pod.revision,
                       "statefulset.kubernetes.io/pod-name": name}},
        "status": {"phase": pod.phase},
    });
    if let Some(since) = pod.ready {
        let since = at(since).to_string();
        object["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
    }
    if pod.deleting {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Arc::new(Member::of(&Object::from_value(object).unwrap()))
}

fn ready(uid: usize, revision: &'static str) -> Pod {
    Pod {
        uid,
        revision,
        phase: "Running",
        ready: Some(0),
        deleting: false,
    }
}

fn decide(set: &Object, pods: &BTreeMap<i64, Pod>, now: i64) -> Plan {
    let members: Vec<_> = pods
        .iter()
        .map(|(ordinal, pod)| member(&identity::pod_name(set, *ordinal), pod))
        .collect();
    plan(&View {
        set,
        pods: &members,
        current: "old",
        update: "new",
        collisions: 0,
        now: at(now),
    })
}

fn words(plan: &Plan) -> Vec<String> {
    let name = |pod: &Member| pod.key.name.to_string();
    let word = |act: &Act| match act {
        Act::Create { ordinal, updated } => format!("create {ordinal} {updated}"),
        Act::Recreate(pod) => format!("recreate {}", name(pod)),
        Act::Delete(pod) => format!("delete {}", name(pod)),
        Act::Claims(ordinal, _) => format!("claims {ordinal}"),
        Act::Identity(ordinal, _) => format!("identity {ordinal}"),
    };
    plan.acts.iter().map(word).collect()
}

#[test]
fn pods_come_and_go_in_order() {
    let ordered = set(json!({}));
    let mut pods = BTreeMap::new();
    assert_eq!(words(&decide(&ordered, &pods, 9)), ["create 0 true"]);
    pods.insert(
        0,
        Pod {
            ready: None,
            ..ready(0, "new")
        },
    );
    assert!(words(&decide(&ordered, &pods, 9)).is_empty(), "not ready");
    pods.insert(0, ready(0, "new"));
    assert_eq!(words(&decide(&ordered, &pods, 9)), ["create 1 true"]);
    let slow = set(json!({"minReadySeconds": 10}));
    let waiting = decide(&slow, &pods, 9);
    assert!(waiting.acts.is_empty());
    assert_eq!(waiting.next_available.unwrap().as_secs(), 1);
    let parallel = set(json!({"podManagementPolicy": "Parallel"}));
    let at_once = ["create 1 true", "create 2 true"];
    assert_eq!(words(&decide(&parallel, &pods, 9)), at_once);
    for ordinal in 1..6 {
        pods.insert(ordinal, ready(1, "new"));
    }
    assert_eq!(words(&decide(&ordered, &pods, 9)), ["delete web-5"]);
    let all = ["delete web-5", "delete web-4", "delete web-3"];
    assert_eq!(words(&decide(&parallel, &pods, 9)), all);
    let later = set(json!({"ordinals": {"start": 2}, "replicas": 4}));
    assert_eq!(words(&decide(&later, &pods, 9)), ["delete web-1"]);
}

#[test]
fn what_has_ended_is_made_anew() {
    let set = set(json!({}));
    let ended = |phase| Pod {
        phase,
        ready: None,
        ..ready(0, "new")
    };
    for phase in ["Failed", "Succeeded"] {
        let pods = BTreeMap::from([(0, ended(phase))]);
        assert_eq!(words(&decide(&set, &pods, 9)), ["recreate web-0"]);
    }
    let going = Pod {
        deleting: true,
        ..ended("Failed")
    };
    assert!(words(&decide(&set, &BTreeMap::from([(0, going)]), 9)).is_empty());
}

#[test]
fn a_rollout_goes_from_the_greatest_number_down() {
    let three = |revision| -> BTreeMap<i64, Pod> {
        (0..3).map(|n| (n, ready(n as usize, revision))).collect()
    };
    let strategy = |rolling: Value| {
        set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}))
    };
    let mut pods = three("old");
    let whole = strategy(json!({"partition": 0}));
    let planned = decide(&whole, &pods, 9);
    assert_eq!(words(&planned), ["delete web-2"]);
    assert_eq!(planned.status["currentReplicas"], 2);
    assert_eq!(planned.status["currentRevision"], "old");
    pods.insert(
        2,
        Pod {
            ready: None,
            ..ready(5, "new")
        },
    );
    assert!(words(&decide(&whole, &pods, 9)).is_empty(), "one at a time");
    pods.insert(2, ready(5, "new"));
    assert_eq!(words(&decide(&whole, &pods, 9)), ["delete web-1"]);
    let part = strategy(json!({"partition": 2}));
    assert!(words(&decide(&part, &pods, 9)).is_empty());
    pods.remove(&0);
    assert_eq!(words(&decide(&part, &pods, 9)), ["create 0 false"]);
    let many = strategy(json!({"maxUnavailable": 2}));
    let two = ["delete web-2", "delete web-1"];
    assert_eq!(words(&decide(&many, &three("old"), 9)), two);
    let by_hand = set(json!({"updateStrategy": {"type": "OnDelete"}}));
    assert!(words(&decide(&by_hand, &three("old"), 9)).is_empty());
    let done = decide(&whole, &three("new"), 9);
    assert!(done.acts.is_empty());
    assert_eq!(done.status["currentRevision"], "new");
    assert_eq!(done.status["currentReplicas"], 3);
    assert_eq!(done.status["updatedReplicas"], 3);
}

#[test]
fn a_pod_knows_who_it_is() {
    let set = set(json!({"volumeClaimTemplates": [
        {"metadata": {"name": "data", "labels": {"x": "y"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}]}));
    let template = json!({"metadata": {"labels": {"app": "a"}},
        "spec": {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}});
    let pod = identity::pod((&super::STATEFUL_SET, &set), &template, "web-abc", 2);
    assert_eq!(pod.name(), "web-2");
    assert_eq!(pod.str_at(&["metadata", "generateName"]), "web-");
    assert_eq!(pod.str_at(&["spec", "hostname"]), "web-2");
    assert_eq!(pod.str_at(&["spec", "subdomain"]), "svc");
    assert_eq!(pod.label("apps.kubernetes.io/pod-index"), Some("2"));
    assert_eq!(
        pod.label("statefulset.kubernetes.io/pod-name"),
        Some("web-2")
    );
    assert_eq!(pod.label("controller-revision-hash"), Some("web-abc"));
    let expected = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-2"}},
        {"name": "tmp", "emptyDir": {}},
    ]);
    assert_eq!(pod.get(&["spec", "volumes"]), Some(&expected));
    assert!(identity::has_its_claims(&set, 2, &pod));
    assert!(!identity::has_its_claims(&set, 1, &pod));
    let claims = identity::claims(&set, 2);
    assert_eq!(claims[0].name(), "data-web-2");
    assert_eq!(claims[0].label("app"), Some("a"));
    assert_eq!(claims[0].label("x"), Some("y"));
    assert_eq!(identity::ordinal("web", "web-12"), Some(12));
    for other in [
        "web-",
        "web-x",
        "web2-1",
        "we-1",
        "web-1-2",
        "web-99999999999",
    ] {
        assert_eq!(identity::ordinal("web", other), None, "{other}");
    }
}

#[test]
fn claims_belong_to_whom_the_policy_says() {
    let claim = |owners: &[&str]| {
        let owners: Vec<Value> = owners
            .iter()
            .map(|uid| json!({"uid": uid, "name": format!("web-{uid}")}))
            .collect();
        Object::from_value(json!({"metadata": {"name": "data-web-1", "ownerReferences": owners}}))
            .unwrap()
    };
    for (deleted, scaled, ordinal, wanted) in [
        ("Retain", "Retain", 1, vec![]),
        ("Delete", "Retain", 1, vec!["s"]),
        ("Retain", "Delete", 1, vec![]),
        ("Retain", "Delete", 7, vec!["p"]),
        ("Delete", "Delete", 1, vec!["s"]),
        ("Delete", "Delete", 7, vec!["p"]),
        ("Delete", "Retain", 7, vec!["s"]),
    ] {
        let policy = json!({"whenDeleted": deleted, "whenScaled": scaled});
        let set = set(json!({"persistentVolumeClaimRetentionPolicy": policy}));
        for before in [&[][..], &["s"], &["p"], &["s", "p"]] {
            let before = claim(before);
            let after = identity::owners(&set, ordinal, ("web-1", "p"), &before);
            let after = after.unwrap_or_else(|| {
                before
                    .get(&["metadata", "ownerReferences"])
                    .cloned()
                    .unwrap()
            });
            let uids: Vec<&str> = after
                .as_array()
                .unwrap()
                .iter()
                .map(|of| of["uid"].as_str().unwrap())
                .collect();
            assert_eq!(uids, wanted, "{deleted} {scaled} {ordinal}");
        }
        let stale = identity::is_stale(&set, "web-p", &claim(&["p"]));
        assert_eq!(stale, scaled == "Delete");
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Small clusters live at random: pods start, fail, end and are deleted by others. What is planned
/// never breaks the order, never takes more away than it may, and comes to rest.
#[test]
fn whatever_happens_the_order_holds_and_all_comes_to_rest() {
    for seed in 1..150_u64 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let parallel = dice.roll(2) == 1;
        let many = [json!(1), json!(2), json!("50%")][dice.roll(3) as usize].clone();
        let mut spec = json!({"replicas": dice.roll(5), "ordinals": {"start": dice.roll(2)}});
        if parallel {
            spec["podManagementPolicy"] = json!("Parallel");
        }
        let mut rolling = json!({"partition": 0});
        if dice.roll(2) == 1 {
            rolling["maxUnavailable"] = many;
        }
        spec["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let set = set(spec);
        let mut pods: BTreeMap<i64, Pod> = BTreeMap::new();
        for ordinal in 0..dice.roll(7) as i64 {
            let revision = ["old", "new"][dice.roll(2) as usize];
            pods.insert(ordinal, ready(ordinal as usize, revision));
        }
        let mut uid = 100;
        for step in 0..200 {
            let planned = decide(&set, &pods, step);
            if !parallel {
                let whole = planned
                    .acts
                    .iter()
                    .filter(|act| !matches!(act, Act::Delete(_)));
                assert!(whole.count() <= 1, "seed {seed}: one at a time");
            }
            for act in planned.acts {
                match act {
                    Act::Create { ordinal, .. } => {
                        let below = |pod: &Pod| pod.ready.is_some() && !pod.deleting;
                        let start = identity::start(&set);
                        let ordered = (start..ordinal).all(|n| pods.get(&n).is_some_and(below));
                        assert!(
                            parallel || ordered,
                            "seed {seed}: {ordinal} before those below it"
                        );
                        uid += 1;
                        let fresh = Pod {
                            phase: "Pending",
                            ready: None,
                            ..ready(uid, "new")
                        };
                        assert!(
                            pods.insert(ordinal, fresh).is_none(),
                            "seed {seed}: a name twice"
                        );
                    }
                    Act::Delete(pod) | Act::Recreate(pod) => {
                        let ordinal = identity::ordinal("web", &pod.key.name).unwrap();
                        let pod = pods.get_mut(&ordinal).unwrap();
                        assert!(!pod.deleting, "seed {seed}: deleted twice");
                        pod.deleting = true;
                    }
                    Act::Claims(..) | Act::Identity(..) => {}
                }
            }
            // What happens without us, less and less of it.
            let mut gone = Vec::new();
            for (ordinal, pod) in &mut pods {
                match dice.roll(8) {
                    0..4 if pod.deleting => gone.push(*ordinal),
                    0..4 if pod.ready.is_none() && !matches!(pod.phase, "Failed" | "Succeeded") => {
                        pod.phase = "Running";
                        pod.ready = Some(step);
                    }
                    4 if step < 60 => pod.ready = None,
                    5 if step < 60 => (pod.phase, pod.ready) = ("Failed", None),
                    6 if step < 60 => pod.deleting = true,
                    _ => {}
                }
            }
            pods.retain(|ordinal, _| !gone.contains(ordinal));
        }
        let end = decide(&set, &pods, 1000);
        assert!(end.acts.is_empty(), "seed {seed}: {:?}", end.acts);
        let wanted = set.get(&["spec", "replicas"]).unwrap().as_i64().unwrap();
        let (start, count) = (identity::start(&set), pods.len() as i64);
        assert_eq!(count, wanted, "seed {seed}");
        for (ordinal, pod) in &pods {
            assert!((start..start + wanted).contains(ordinal), "seed {seed}");
            assert_eq!(
                (pod.revision, pod.ready.is_some()),
                ("new", true),
                "seed {seed}"
            );
        }
    }
}
