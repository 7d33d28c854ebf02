//! What a DaemonSet decides, case by case, and over random lives of small clusters.

use super::place::{Cast, Placement};
use super::plan::{Plan, View, by_node, plan};
use crate::controllers::members::Member;
use crate::meta::Object;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn daemons(spec: Value, template: Value) -> Object {
    let mut object = json!({
        "metadata": {"name": "log", "namespace": "n", "uid": "d", "generation": 1,
                     "annotations": {"deprecated.daemonset.template.generation": "2"}},
        "spec": {"template": {"metadata": {"labels": {"app": "log"}}, "spec": template},
                 "updateStrategy": {"type": "RollingUpdate",
                                    "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}},
    });
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    Object::from_value(object).unwrap()
}

fn node(name: &str, taints: Value) -> Arc<Member> {
    let labels = json!({"zone": &name[..1]});
    let object = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
    Arc::new(Member::of(&Object::from_value(object).unwrap()))
}

#[derive(Clone, Debug)]
struct Pod {
    node: String,
    hash: &'static str,
    phase: &'static str,
    ready: Option<i64>,
    deleting: bool,
}

fn ready(node: &str, hash: &'static str) -> Pod {
    Pod {
        node: node.to_owned(),
        hash,
        phase: "Running",
        ready: Some(0),
        deleting: false,
    }
}

fn member(name: usize, pod: &Pod) -> Arc<Member> {
    let mut object = json!({
        "metadata": {"name": format!("log-{name:05}"), "namespace": "n", "uid": name.to_string(),
            "labels": {"controller-revision-hash": pod.hash}},
        "spec": {"nodeName": pod.node},
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

fn decide(daemons: &Object, nodes: &[Arc<Member>], pods: &BTreeMap<usize, Pod>, now: i64) -> Plan {
    let members = pods.iter().map(|(name, pod)| member(*name, pod)).collect();
    let view = View {
        daemons,
        placement: &Placement::new(daemons),
        nodes,
        pods: by_node(members),
        hash: "new",
        collisions: 0,
        now: at(now),
    };
    plan(&view, |_| None)
}

fn words(plan: &Plan) -> Vec<String> {
    let create = plan.create.iter().map(|node| format!("create {node}"));
    let delete = plan
        .delete
        .iter()
        .map(|pod| format!("delete {}", pod.key.name));
    create.chain(delete).collect()
}

#[test]
fn a_pod_goes_where_selector_and_taints_let_it() {
    let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
    let cordon = taint("node.kubernetes.io/unschedulable", "NoSchedule");
    let nodes = [
        node("a", Value::Null),
        node("b", cordon),
        node("c", taint("own", "NoSchedule")),
        node("d", taint("own", "NoExecute")),
        node("e", taint("node.kubernetes.io/unreachable", "NoExecute")),
    ];
    let of = |spec: Value| -> Vec<(bool, bool)> {
        let placement = Placement::new(&daemons(json!({}), spec));
        nodes.iter().map(|node| placement.of(node)).collect()
    };
    let (yes, stay, no) = ((true, true), (false, true), (false, false));
    assert_eq!(of(json!({})), [yes, yes, stay, no, yes]);
    let all = json!({"tolerations": [{"operator": "Exists"}]});
    assert_eq!(of(all), [yes; 5]);
    assert_eq!(
        of(json!({"nodeSelector": {"zone": "b"}})),
        [no, yes, no, no, no]
    );
    assert_eq!(of(json!({"nodeName": "a"})), [yes, no, no, no, no]);
    let term = json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]});
    let affinity = json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}});
    assert_eq!(of(affinity), [no, yes, stay, no, yes]);
}

#[test]
fn a_pod_is_pinned_to_its_node() {
    let daemons = daemons(json!({}), json!({"hostNetwork": true}));
    let pod = Cast::new((&super::DAEMON_SET, &daemons), "abc").pinned_to("a");
    let pod = Object::from_value(pod).unwrap();
    assert_eq!(pod.label("controller-revision-hash"), Some("abc"));
    assert_eq!(pod.label("pod-template-generation"), Some("2"));
    assert_eq!(
        pod.get(&["spec", "tolerations"])
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        7
    );
    let member = Member::of(&pod);
    assert_eq!((&*member.pod.node, &*member.pod.target), ("", "a"));
}

#[test]
fn pods_follow_the_nodes_and_what_has_ended_comes_again() {
    let set = daemons(json!({}), json!({}));
    let nodes = [node("a", Value::Null), node("b", Value::Null)];
    let mut pods = BTreeMap::new();
    assert_eq!(
        words(&decide(&set, &nodes, &pods, 9)),
        ["create a", "create b"]
    );
    pods.insert(0, ready("a", "new"));
    pods.insert(
        1,
        Pod {
            phase: "Failed",
            ready: None,
            ..ready("b", "new")
        },
    );
    let planned = decide(&set, &nodes, &pods, 9);
    assert_eq!(words(&planned), ["delete log-00001"]);
    assert_eq!(&*planned.ended[0].1, "b");
    let status = &planned.status;
    assert_eq!(status["desiredNumberScheduled"], 2);
    assert_eq!(
        (&status["numberReady"], &status["numberUnavailable"]),
        (&json!(1), &json!(1))
    );
    pods.insert(2, ready("a", "new"));
    pods.remove(&1);
    assert_eq!(
        words(&decide(&set, &nodes[..1], &pods, 9)),
        ["delete log-00002"]
    );
    let repelling = [node("a", json!([{"key": "x", "effect": "NoExecute"}]))];
    let planned = decide(&set, &repelling, &pods, 9);
    assert_eq!(words(&planned), ["delete log-00000", "delete log-00002"]);
    assert_eq!(planned.status["numberMisscheduled"], 1);
}

#[test]
fn delays_of_failed_pods_grow() {
    let delays = super::Delays::default();
    let seconds = |second| {
        delays
            .wait("d", "a", at(second))
            .map(|left: Duration| left.as_secs())
    };
    assert_eq!(seconds(0), None);
    assert_eq!(seconds(0), Some(1));
    assert_eq!(seconds(1), None);
    assert_eq!(seconds(2), Some(1));
    assert_eq!(seconds(3), None);
    assert_eq!(seconds(3), Some(4));
    assert_eq!(seconds(10_000), None);
    assert_eq!(seconds(10_000), Some(1));
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

/// Nodes come and go, pods start and fail. A rollout never takes more away than it may, never has
/// more than two on a node, and all comes to rest.
#[test]
fn whatever_happens_each_node_gets_its_one_pod() {
    for seed in 1..100_u64 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let surge = dice.roll(2) == 1;
        let limit = dice.roll(3) + 1;
        let rolling = if surge {
            json!({"maxSurge": limit, "maxUnavailable": 0})
        } else {
            json!({"maxUnavailable": limit})
        };
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let set = daemons(json!({ "updateStrategy": strategy }), json!({}));
        let names = ["a", "b", "c", "d", "e"];
        let mut count = dice.roll(5) as usize + 1;
        let mut pods: BTreeMap<usize, Pod> = BTreeMap::new();
        for (index, name) in names[..count].iter().enumerate() {
            pods.insert(index, ready(name, ["old", "new"][dice.roll(2) as usize]));
        }
        let mut next = 100;
        for step in 0..200 {
            if step < 50 && dice.roll(10) == 0 {
                count = dice.roll(5) as usize + 1;
                pods.retain(|_, pod| names[..count].contains(&pod.node.as_str()));
            }
            let nodes: Vec<_> = names[..count]
                .iter()
                .map(|name| node(name, Value::Null))
                .collect();
            let serving = |pods: &BTreeMap<usize, Pod>| {
                let served = |node: &&Arc<Member>| {
                    pods.values().any(|pod| {
                        *pod.node == *node.key.name && pod.ready.is_some() && !pod.deleting
                    })
                };
                nodes.iter().filter(served).count()
            };
            let before = serving(&pods);
            let planned = decide(&set, &nodes, &pods, step);
            for node in &planned.create {
                let hash = "new";
                pods.insert(
                    next,
                    Pod {
                        phase: "Pending",
                        ready: None,
                        ..ready(node, hash)
                    },
                );
                next += 1;
            }
            for pod in &planned.delete {
                let name: usize = pod.key.name[4..].parse().unwrap();
                let pod = pods.get_mut(&name).unwrap();
                assert!(!pod.deleting, "seed {seed}: deleted twice");
                pod.deleting = true;
            }
            let lost = before - serving(&pods);
            let allowed = if surge { 0 } else { limit as usize };
            assert!(lost <= allowed, "seed {seed}: {lost} lost at once");
            for node in &nodes {
                let here = pods
                    .values()
                    .filter(|pod| *pod.node == *node.key.name && !pod.deleting);
                assert!(here.count() <= 1 + usize::from(surge), "seed {seed}");
            }
            let mut gone = Vec::new();
            for (name, pod) in &mut pods {
                match dice.roll(8) {
                    0..4 if pod.deleting => gone.push(*name),
                    0..4 if pod.ready.is_none() && pod.phase != "Failed" => {
                        (pod.phase, pod.ready) = ("Running", Some(step));
                    }
                    4 if step < 60 => pod.ready = None,
                    5 if step < 60 => (pod.phase, pod.ready) = ("Failed", None),
                    _ => {}
                }
            }
            pods.retain(|name, _| !gone.contains(name));
        }
        let nodes: Vec<_> = names[..count]
            .iter()
            .map(|name| node(name, Value::Null))
            .collect();
        let end = decide(&set, &nodes, &pods, 1000);
        assert!(words(&end).is_empty(), "seed {seed}: {:?}", words(&end));
        assert_eq!(pods.len(), count, "seed {seed}");
        assert!(pods.values().all(|pod| pod.hash == "new"), "seed {seed}");
        assert_eq!(end.status["updatedNumberScheduled"], count, "seed {seed}");
    }
}
