//! PodTopologySpread: the pods of a sort are spread over places, by at most so many more in one than
//! in another, or as evenly as can be.
//! Kubernetes: `plugins/podtopologyspread`.

use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, SCORE_MAX, node_allowed, tolerated};
use crate::sched::terms::Spread;
use crate::sched::topology::{ByPlace, Topology};
use std::collections::BTreeSet;

pub(crate) struct PodTopologySpread;

/// The label that tells each node apart.
const HOSTNAME: &str = "kubernetes.io/hostname";
const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
const UNLABELLED: &str =
    "node(s) didn't match pod topology spread constraints (missing required label)";

/// A constraint, counted.
struct Counted<'a> {
    spread: &'a Spread,
    topology: &'a Topology,
    /// Pods of the sort by place.
    pods: ByPlace,
    /// Whether the pod is of the sort itself.
    own: i64,
    /// The fewest pods that a place has; asked for at each node, so it is kept.
    fewest: i64,
    /// The places that count, if not all do.
    places: Option<BTreeSet<u32>>,
}

struct Spreading<'a> {
    pod: &'a PodInfo,
    cluster: &'a Cluster,
    must: Vec<Counted<'a>>,
    /// What is only better, with how much it counts.
    better: Vec<(Counted<'a>, f64)>,
}

/// Whether a node counts for a constraint.
fn counts(pod: &PodInfo, spread: &Spread, node: &NodeInfo) -> bool {
    (!spread.honors_affinity || node_allowed(pod, node))
        && (!spread.honors_taints || tolerated(pod, node))
}

/// Counts the pods of a constraint on nodes that bear the labels of all `together`.
fn counted<'a>(
    pod: &'a PodInfo,
    cluster: &'a Cluster,
    spread: &'a Spread,
    together: &[&Spread],
) -> Option<Counted<'a>> {
    let topology = cluster.topology(&spread.topology_key)?;
    let affinity =
        !pod.pod.spec.node_selector.is_empty() || pod.pod.spec.affinity.node_affinity.is_some();
    let picky = spread.honors_affinity && affinity || spread.honors_taints && cluster.tainted > 0;
    let others: Vec<&Topology> = together
        .iter()
        .filter(|other| other.topology_key != spread.topology_key)
        .filter_map(|other| cluster.topology(&other.topology_key))
        .collect();
    let counts = |slot: usize| {
        let labelled = others.iter().all(|other| other.of(slot).is_some());
        labelled
            && (!picky
                || cluster
                    .node(slot)
                    .is_some_and(|node| counts(pod, spread, node)))
    };
    let all = !picky && others.is_empty();
    let places = (!all).then(|| {
        let nodes = cluster.nodes().iter().filter(|slot| counts(**slot));
        nodes.filter_map(|slot| topology.of(*slot)).collect()
    });
    let mut pods = ByPlace::of(topology);
    let same = cluster
        .classes
        .values()
        .filter(|class| !class.deleting && class.namespace == pod.namespace());
    for class in same.filter(|class| spread.means(&class.labels)) {
        for (slot, count) in &class.nodes {
            if all || counts(*slot) {
                pods.add(topology.of(*slot), *count);
            }
        }
    }
    let mut counted = Counted {
        own: i64::from(spread.means(pod.labels())),
        fewest: 0,
        spread,
        topology,
        pods,
        places,
    };
    counted.fewest = counted.count_fewest();
    Some(counted)
}

impl Counted<'_> {
    fn count_fewest(&self) -> i64 {
        let (mut fewest, mut places) = (i64::MAX, 0);
        let mut look = |place| {
            fewest = self.pods.get(place).min(fewest);
            places += 1;
        };
        match &self.places {
            Some(places) => places.iter().copied().for_each(&mut look),
            None => self.topology.places().for_each(&mut look),
        }
        if places < self.spread.min_domains || places == 0 {
            return 0;
        }
        fewest
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        if pod.spread.is_empty() {
            return None;
        }
        let of = |must: bool| -> Vec<&'a Spread> {
            pod.spread
                .iter()
                .filter(|spread| spread.must == must)
                .collect()
        };
        let must = of(true);
        let must_counted = must
            .iter()
            .filter_map(|spread| counted(pod, cluster, spread, &must));
        Some(Box::new(Spreading {
            must: must_counted.collect(),
            better: Vec::new(),
            pod,
            cluster,
        }))
    }

    fn weight(&self) -> i64 {
        2
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        let meant = |other: &PodInfo| {
            let mut all = pod.spread.iter();
            other.namespace() == pod.namespace() && all.any(|own| own.means(other.labels()))
        };
        match event {
            Event::Node(node, change) => {
                let labelled = |spread: &Spread| node.labels().contains_key(&spread.topology_key);
                (change.labels || change.taints) && pod.spread.iter().all(labelled)
            }
            Event::PodGone(other) | Event::PodCame(other) => meant(other),
            Event::PodChanged(before, now) => meant(before) || meant(now),
            Event::Unknown => false,
        }
    }
}

impl Round for Spreading<'_> {
    fn filter(&self, slot: usize, _node: &NodeInfo) -> Result<(), Refusal> {
        for counted in &self.must {
            let Some(place) = counted.topology.of(slot) else {
                return Err(Refusal::for_good(UNLABELLED));
            };
            let there = counted.pods.get(place) + counted.own;
            if there - counted.fewest > counted.spread.max_skew {
                return Err(Refusal::resolvable(SKEWED));
            }
        }
        Ok(())
    }

    fn prepare(&mut self, feasible: &[(usize, &NodeInfo)]) -> bool {
        let better: Vec<&Spread> = self
            .pod
            .spread
            .iter()
            .filter(|spread| !spread.must)
            .collect();
        for spread in &better {
            // By default, a node that bears one of the labels counts for that one.
            let together: &[&Spread] = match self.pod.spread_by_default {
                true => &[],
                false => &better,
            };
            let Some(counted) = counted(self.pod, self.cluster, spread, together) else {
                continue;
            };
            let places = feasible
                .iter()
                .filter_map(|(slot, _)| counted.topology.of(*slot));
            let size = if spread.topology_key == HOSTNAME {
                places.count()
            } else {
                places.collect::<BTreeSet<_>>().len()
            };
            let weight = (size as f64 + 2.0).ln();
            self.better.push((counted, weight));
        }
        !self.better.is_empty()
    }

    fn score(&self, slot: usize, _node: &NodeInfo) -> i64 {
        let mut score = 0.0;
        for (counted, weight) in &self.better {
            let Some(place) = counted.topology.of(slot) else {
                if self.pod.spread_by_default {
                    continue;
                }
                return -1;
            };
            let skew = (counted.spread.max_skew - 1) as f64;
            score += counted.pods.get(place) as f64 * weight + skew;
        }
        score.round() as i64
    }

    fn normalize(&self, _feasible: &[(usize, &NodeInfo)], scores: &mut [i64]) {
        // A node without the labels scores nothing.
        let known = || scores.iter().copied().filter(|score| *score >= 0);
        let (least, most) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                -1 => 0,
                _ if most == 0 => SCORE_MAX,
                score => SCORE_MAX * (most + least - score) / most,
            };
        }
    }

    fn suppose(&mut self, slot: usize, other: &PodInfo, by: i64) {
        if other.namespace() != self.pod.namespace() || other.deleting() {
            return;
        }
        for counted in &mut self.must {
            let place = counted.topology.of(slot);
            let known = counted.places.as_ref();
            let counts =
                place.is_some_and(|place| known.is_none_or(|known| known.contains(&place)));
            if counts && counted.spread.means(other.labels()) {
                counted.pods.add(place, by);
                counted.fewest = counted.count_fewest();
            }
        }
    }
}
