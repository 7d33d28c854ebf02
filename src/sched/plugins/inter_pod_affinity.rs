//! InterPodAffinity: a pod goes where the pods are that it wants to be with, and not where those are
//! that it, or that themselves, do not want to share a place.
//! Kubernetes: `plugins/interpodaffinity`.

use crate::sched::cluster::{Class, Cluster};
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, SCORE_MAX};
use crate::sched::terms::{Labels, Namespaces, Term};
use crate::sched::topology::{ByPlace, Topology};

pub(crate) struct InterPodAffinity;

const NOT_WITH: &str = "node(s) didn't match pod affinity rules";
const NOT_APART: &str = "node(s) didn't match pod anti-affinity rules";
const NOT_WANTED: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Numbers by place of one label.
struct Counted<'a> {
    term: &'a Term,
    topology: &'a Topology,
    pods: ByPlace,
}

impl<'a> Counted<'a> {
    fn new(term: &'a Term, cluster: &'a Cluster) -> Option<Self> {
        let topology = cluster.topology(&term.topology_key)?;
        let pods = ByPlace::of(topology);
        Some(Self {
            term,
            topology,
            pods,
        })
    }

    fn add_class(&mut self, class: &Class, each: i64) {
        for (slot, count) in &class.nodes {
            self.pods.add(self.topology.of(*slot), count * each);
        }
    }

    fn at(&self, slot: usize) -> Option<i64> {
        self.topology.of(slot).map(|place| self.pods.get(place))
    }
}

struct Company<'a> {
    pod: &'a PodInfo,
    cluster: &'a Cluster,
    /// Pods that match all of the terms by which the pod wants to be with others.
    with: Vec<Counted<'a>>,
    /// Whether there are any, anywhere.
    with_any: i64,
    /// Pods that it does not want to be with, term by term.
    apart: Vec<Counted<'a>>,
    /// Pods that do not want to be with it.
    unwanted: Vec<Counted<'a>>,
    /// What speaks for and against places.
    scores: Vec<Counted<'a>>,
}

fn as_seen(pod: &PodInfo) -> (&str, &Labels) {
    (pod.namespace(), pod.labels())
}

fn means_all(terms: &[Term], pod: (&str, &Labels), namespaces: &Namespaces) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.means(pod, namespaces))
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        if pod.terms.is_empty() && cluster.with_terms.is_empty() {
            return None;
        }
        let (namespaces, own) = (&cluster.namespaces, &pod.terms);
        let counted = |terms: &'a [Term]| -> Vec<Counted<'a>> {
            let all = terms.iter().filter_map(|term| Counted::new(term, cluster));
            all.collect()
        };
        let (mut with, mut apart) = (counted(&own.required), counted(&own.required_anti));
        let mut with_any = 0;
        if !with.is_empty() || !apart.is_empty() {
            for class in cluster.classes.values() {
                if means_all(&own.required, class.pod(), namespaces) {
                    for counted in &mut with {
                        counted.add_class(class, 1);
                        let known = class.nodes.iter();
                        let known = known.filter(|(slot, _)| counted.topology.of(**slot).is_some());
                        with_any += known.map(|(_, count)| count).sum::<i64>();
                    }
                }
                for counted in &mut apart {
                    if counted.term.means(class.pod(), namespaces) {
                        counted.add_class(class, 1);
                    }
                }
            }
        }
        let mut unwanted = Vec::new();
        for class in cluster
            .with_terms
            .iter()
            .filter_map(|name| cluster.classes.get(name))
        {
            for term in &class.terms.required_anti {
                if term.means(as_seen(pod), namespaces)
                    && let Some(mut counted) = Counted::new(term, cluster)
                {
                    counted.add_class(class, 1);
                    unwanted.push(counted);
                }
            }
        }
        Some(Box::new(Company {
            pod,
            cluster,
            with,
            with_any,
            apart,
            unwanted,
            scores: Vec::new(),
        }))
    }

    fn weight(&self) -> i64 {
        2
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, cluster: &Cluster) -> bool {
        let namespaces = &cluster.namespaces;
        let meant = |terms: &[Term], other: &PodInfo| {
            terms
                .iter()
                .any(|term| term.means(as_seen(other), namespaces))
        };
        let came = |other: &PodInfo| meant(&pod.terms.required, other);
        let gone = |other: &PodInfo| {
            meant(&pod.terms.required_anti, other)
                || meant(&pod.terms.required, other)
                || meant(&other.terms.required_anti, pod)
        };
        match event {
            Event::Node(_, change) => change.labels || change.opened,
            Event::PodCame(other) => came(other),
            Event::PodGone(other) => gone(other),
            Event::PodChanged(before, now) => gone(before) || came(now),
            Event::Unknown => true,
        }
    }
}

impl Round for Company<'_> {
    fn filter(&self, slot: usize, _node: &NodeInfo) -> Result<(), Refusal> {
        let places = self.with.iter().map(|counted| counted.at(slot));
        let labelled = places.clone().all(|count| count.is_some());
        if !labelled || !places.flatten().all(|count| count > 0) {
            // The first of a group that wants to be together has nobody to go to yet.
            let namespaces = &self.cluster.namespaces;
            let own = || means_all(&self.pod.terms.required, as_seen(self.pod), namespaces);
            if !labelled || self.with_any > 0 || !own() {
                return Err(Refusal::for_good(NOT_WITH));
            }
        }
        let taken = |counted: &Counted<'_>| counted.at(slot).is_some_and(|count| count > 0);
        if self.apart.iter().any(taken) {
            return Err(Refusal::resolvable(NOT_APART));
        }
        if self.unwanted.iter().any(taken) {
            return Err(Refusal::resolvable(NOT_WANTED));
        }
        Ok(())
    }

    fn prepare(&mut self, _feasible: &[(usize, &NodeInfo)]) -> bool {
        let (cluster, own) = (self.cluster, &self.pod.terms);
        let namespaces = &cluster.namespaces;
        let mut scores: Vec<Counted<'_>> = Vec::new();
        for (terms, sign) in [(&own.preferred, 1), (&own.preferred_anti, -1)] {
            for term in terms.iter().filter(|term| term.weight != 0) {
                let Some(mut counted) = Counted::new(term, cluster) else {
                    continue;
                };
                for class in cluster.classes.values() {
                    if term.means(class.pod(), namespaces) {
                        counted.add_class(class, sign * term.weight);
                    }
                }
                scores.push(counted);
            }
        }
        for class in cluster
            .with_terms
            .iter()
            .filter_map(|name| cluster.classes.get(name))
        {
            let theirs = &class.terms;
            let required = theirs.required.iter().map(|term| (term, 1));
            let preferred = theirs.preferred.iter().map(|term| (term, term.weight));
            let against = theirs
                .preferred_anti
                .iter()
                .map(|term| (term, -term.weight));
            for (term, each) in required.chain(preferred).chain(against) {
                if term.means(as_seen(self.pod), namespaces)
                    && let Some(mut counted) = Counted::new(term, cluster)
                {
                    counted.add_class(class, each);
                    scores.push(counted);
                }
            }
        }
        self.scores = scores;
        !self.scores.is_empty()
    }

    fn score(&self, slot: usize, _node: &NodeInfo) -> i64 {
        let scores = self.scores.iter().filter_map(|counted| counted.at(slot));
        scores.sum()
    }

    fn normalize(&self, _feasible: &[(usize, &NodeInfo)], scores: &mut [i64]) {
        let least = scores.iter().copied().min().unwrap_or(0);
        let most = scores.iter().copied().max().unwrap_or(0);
        for score in scores {
            *score = if most > least {
                (SCORE_MAX as f64 * ((*score - least) as f64 / (most - least) as f64)) as i64
            } else {
                0
            };
        }
    }

    fn suppose(&mut self, slot: usize, other: &PodInfo, by: i64) {
        let namespaces = &self.cluster.namespaces;
        if means_all(&self.pod.terms.required, as_seen(other), namespaces) {
            for counted in &mut self.with {
                let place = counted.topology.of(slot);
                counted.pods.add(place, by);
                self.with_any += if place.is_some() { by } else { 0 };
            }
        }
        for counted in &mut self.apart {
            if counted.term.means(as_seen(other), namespaces) {
                counted.pods.add(counted.topology.of(slot), by);
            }
        }
        // Those that do not want it are counted by class: of one that has the very same terms.
        let theirs = self.cluster.classes.get(&other.class);
        for term in theirs.iter().flat_map(|class| &class.terms.required_anti) {
            let same = |counted: &&mut Counted<'_>| std::ptr::eq(counted.term, term);
            if let Some(counted) = self.unwanted.iter_mut().find(same) {
                counted.pods.add(counted.topology.of(slot), by);
            }
        }
    }
}
