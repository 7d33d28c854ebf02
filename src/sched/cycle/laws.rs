//! Over random small clusters: what the rounds say, who count by class and by place, is what
//! looking at every pod says; a promised node is one where the pod fits when the others have left;
//! and trying that leaves nothing behind.

use super::*;
use crate::sched::cluster::Cluster;
use crate::sched::terms::Labels;
use crate::sched::view::{NodeView, PodView};
use serde_json::{Value, json};
use std::sync::Arc;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

fn node(dice: &mut Dice, number: usize) -> NodeView {
    let name = format!("n{number}");
    let mut labels = json!({ "host": name });
    if dice.roll(8) > 0 {
        labels["zone"] = json!(dice.one(&["x", "y", "z"]));
    }
    let allocatable = json!({"cpu": "4", "memory": "4Gi", "pods": "20"});
    let object = json!({"metadata": {"name": name, "labels": labels}, "status": {"allocatable": allocatable}});
    serde_json::from_value(object).unwrap()
}

fn selector(dice: &mut Dice) -> Value {
    json!({"matchLabels": {"app": dice.one(&["a", "b"])}})
}

fn pod(dice: &mut Dice, number: usize, on: &str) -> PodView {
    let mut spec = json!({"nodeName": on, "priority": dice.roll(3),
        "containers": [{"resources": {"requests": {"cpu": format!("{}m", dice.roll(1200))}}}]});
    for (kind, odds) in [("podAffinity", 6), ("podAntiAffinity", 4)] {
        if dice.roll(odds) == 0 {
            let key = dice.one(&["zone", "host"]);
            let term = json!({"topologyKey": key, "labelSelector": selector(dice)});
            spec["affinity"][kind] =
                json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
        }
    }
    if dice.roll(3) == 0 {
        let key = dice.one(&["zone", "host"]);
        spec["topologySpreadConstraints"] = json!([{"maxSkew": dice.roll(2) + 1, "topologyKey": key,
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector(dice)}]);
    }
    let metadata = json!({"name": format!("p{number}"), "namespace": dice.one(&["m", "n"]),
        "labels": {"app": dice.one(&["a", "b"])}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// A pod where it is.
struct Placed<'a> {
    node: &'a NodeInfo,
    pod: Arc<PodInfo>,
}

fn all_placed(cluster: &Cluster) -> Vec<Placed<'_>> {
    let nodes = cluster
        .nodes()
        .iter()
        .filter_map(|slot| cluster.node(*slot));
    nodes
        .flat_map(|node| {
            node.pods
                .values()
                .cloned()
                .map(move |pod| Placed { node, pod })
        })
        .collect()
}

/// Whether a pod fits a node, pod by pod as the words of the API say it.
fn fits(pod: &PodInfo, node: &NodeInfo, cluster: &Cluster) -> bool {
    let placed = all_placed(cluster);
    let namespaces = &cluster.namespaces;
    let seen = |of: &PodInfo| (of.namespace().to_owned(), of.labels().clone());
    let means = |term: &crate::sched::terms::Term, of: &PodInfo| {
        let (namespace, labels): (String, Labels) = seen(of);
        term.means((&namespace, &labels), namespaces)
    };
    let same = |key: &str, other: &NodeInfo| {
        let place = node.labels().get(key);
        place.is_some() && place == other.labels().get(key)
    };
    let free = node.allocatable.cpu_millis - node.requested.cpu_millis;
    if pod.requests.cpu_millis > free || node.pods.len() as i64 >= node.pods_max {
        return false;
    }
    for term in &pod.terms.required_anti {
        if placed
            .iter()
            .any(|of| same(&term.topology_key, of.node) && means(term, &of.pod))
        {
            return false;
        }
    }
    for of in &placed {
        let mut theirs = of.pod.terms.required_anti.iter();
        if theirs.any(|term| same(&term.topology_key, of.node) && means(term, pod)) {
            return false;
        }
    }
    let all = |of: &PodInfo| pod.terms.required.iter().all(|term| means(term, of));
    for term in &pod.terms.required {
        let labelled = |of: &Placed<'_>| of.node.labels().contains_key(&term.topology_key);
        let any = placed.iter().any(|of| labelled(of) && all(&of.pod));
        let here = placed
            .iter()
            .any(|of| same(&term.topology_key, of.node) && all(&of.pod));
        let first = !any && all(pod) && node.labels().contains_key(&term.topology_key);
        if !here && !first {
            return false;
        }
    }
    pod.spread.iter().all(|spread| {
        let Some(place) = node.labels().get(&spread.topology_key) else {
            return false;
        };
        let count = |place: &String| {
            let here = placed
                .iter()
                .filter(|of| of.node.labels().get(&spread.topology_key) == Some(place));
            let counted = here.filter(|of| {
                of.pod.namespace() == pod.namespace() && spread.means(of.pod.labels())
            });
            counted.count() as i64
        };
        let nodes = cluster
            .nodes()
            .iter()
            .filter_map(|slot| cluster.node(*slot));
        let fewest = nodes
            .filter_map(|node| node.labels().get(&spread.topology_key))
            .map(count)
            .min();
        count(place) + i64::from(spread.means(pod.labels())) - fewest.unwrap_or(0)
            <= spread.max_skew
    })
}

fn begin<'a>(pod: &'a PodInfo, cluster: &'a Cluster) -> Vec<Active<'a>> {
    let begin = |(index, plugin): (usize, &&'static dyn Plugin)| {
        Some((index, *plugin, plugin.begin(pod, cluster)?))
    };
    PLUGINS.iter().enumerate().filter_map(begin).collect()
}

fn feasible(rounds: &[Active<'_>], pod: &PodInfo, cluster: &Cluster) -> Vec<bool> {
    let all = cluster.nodes().iter();
    all.map(|slot| check(pod, cluster, (*slot, cluster.node(*slot).unwrap()), rounds).is_ok())
        .collect()
}

#[test]
fn counting_says_what_looking_says_and_promises_hold() {
    for seed in 1..400_u64 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let mut cluster = Cluster::default();
        let nodes = dice.roll(6) as usize + 1;
        for number in 0..nodes {
            cluster.set_node(Arc::new(node(&mut dice, number)));
        }
        for number in 0..dice.roll(14) as usize {
            let on = format!("n{}", dice.roll(nodes as u64));
            let pod = PodInfo::new(Arc::new(pod(&mut dice, number, &on)));
            cluster.place(&pod.key(), &on, Arc::new(pod));
        }
        if dice.roll(3) == 0 {
            // Nodes that come back and pods that go are no longer counted as they were.
            cluster.remove_node("n0");
            cluster.set_node(Arc::new(node(&mut dice, 0)));
            cluster.unplace(&crate::meta::ObjectKey::new("n", "p0"));
        }
        let incoming = PodInfo::new(Arc::new(pod(&mut dice, 99, "")));
        cluster.prepare(&incoming);
        let mut rounds = begin(&incoming, &cluster);
        let counted = feasible(&rounds, &incoming, &cluster);
        let looked: Vec<bool> = cluster
            .nodes()
            .iter()
            .map(|slot| fits(&incoming, cluster.node(*slot).unwrap(), &cluster))
            .collect();
        assert_eq!(counted, looked, "seed {seed}: {incoming:?}");
        let refused: Vec<(usize, Refusal)> = cluster
            .nodes()
            .iter()
            .filter_map(|slot| {
                let node = (*slot, cluster.node(*slot).unwrap());
                let refusal = check(&incoming, &cluster, node, &rounds).err()?.1;
                Some((*slot, refusal))
            })
            .collect();
        let help = preempt::preempt(&incoming, &cluster, &mut rounds, &refused, 0);
        assert_eq!(
            feasible(&rounds, &incoming, &cluster),
            counted,
            "seed {seed}: nothing is left behind"
        );
        if let preempt::Help::Promise(name, victims) = help {
            drop(rounds);
            assert!(!victims.is_empty(), "seed {seed}");
            for victim in &victims {
                assert!(victim.priority() < incoming.priority(), "seed {seed}");
                cluster.unplace(&victim.key());
            }
            cluster.prepare(&incoming);
            let slot = cluster.slot(&name).unwrap();
            let node = cluster.node(slot).unwrap();
            assert!(
                fits(&incoming, node, &cluster),
                "seed {seed}: {name} after {victims:?}"
            );
        }
    }
}
