//! The decision: a pod and the nodes in, a node or the reasons against each out. Pure: no clock, no
//! client, no cache. The order of the plugins is the list in `plugins/mod.rs`.
//! Kubernetes: kube-scheduler `schedulePod`, `FitError`; the messages are its own.

mod preempt;

use crate::sched::cluster::Cluster;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{PLUGINS, Plugin, Round, SCORE_MAX};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Below this many nodes all are looked at.
const NODES_ALWAYS_LOOKED_AT: usize = 100;

/// Why a plugin refuses a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The words, without the count of nodes.
    pub(crate) reasons: Vec<Cow<'static, str>>,
    /// Whether taking pods off the node could help.
    pub(crate) resolvable: bool,
}

impl Refusal {
    pub(crate) fn resolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reasons: vec![reason.into()],
            resolvable: true,
        }
    }

    pub(crate) fn for_good(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reasons: vec![reason.into()],
            resolvable: false,
        }
    }
}

/// Plugins, one bit each, in the order of the list.
pub(crate) type Plugins = u32;

/// What was decided.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// The pod goes to this node.
    Node(String),
    /// It fits nowhere.
    Nowhere(Nowhere),
}

/// Why a pod fits nowhere, and who makes room.
#[derive(Clone, Debug)]
pub(crate) struct Nowhere {
    /// The message for people.
    pub(crate) message: String,
    /// Who refused a node.
    pub(crate) refused_by: Plugins,
    /// The node that the pod is promised, and the pods that leave it.
    pub(crate) promise: Option<(String, Vec<Arc<PodInfo>>)>,
    /// Whether an earlier promise still holds: those that make room are on their way out.
    pub(crate) keeps_promise: bool,
}

/// A plugin with its round for one pod.
type Active<'a> = (usize, &'static dyn Plugin, Box<dyn Round + 'a>);

/// Decides where `pod` goes. `start` is where the search begins, so that equal nodes take turns;
/// the second part of the answer is how many nodes were looked at. The cluster must have been
/// prepared for the pod.
pub(crate) fn decide(pod: &PodInfo, cluster: &Cluster, start: usize) -> (Decision, usize) {
    let all = cluster.nodes();
    if all.is_empty() {
        let nowhere = Nowhere {
            message: "no nodes available to schedule pods".to_owned(),
            refused_by: 0,
            promise: None,
            keeps_promise: false,
        };
        return (Decision::Nowhere(nowhere), 0);
    }
    let begin = |(index, plugin): (usize, &&'static dyn Plugin)| {
        let round = plugin.begin(pod, cluster)?;
        Some((index, *plugin, round))
    };
    let mut rounds: Vec<Active<'_>> = PLUGINS.iter().enumerate().filter_map(begin).collect();
    let mut search = Search::new(pod, cluster);
    let promised = &pod.pod.status.nominated_node_name;
    if let Some(slot) = cluster.slot(promised).filter(|_| !promised.is_empty()) {
        search.look(slot, &rounds);
    }
    if search.feasible.is_empty() {
        search = Search::new(pod, cluster);
        search.all(&rounds, start);
    }
    let looked_at = search.looked_at;
    if let Some(name) = best(&mut rounds, &search.feasible) {
        return (Decision::Node(name), looked_at);
    }
    let reasons = explain(
        all.len(),
        search.refused.iter().map(|(_, refusal)| refusal),
        search.left_out,
    );
    let help = preempt::preempt(pod, cluster, &mut rounds, &search.refused, start);
    let nowhere = Nowhere {
        message: match &help {
            preempt::Help::Promise(..) => reasons,
            preempt::Help::None(why) | preempt::Help::Wait(why) => {
                format!("{reasons} no new claims to deallocate, preemption: {why}")
            }
        },
        refused_by: search.refused_by,
        keeps_promise: matches!(help, preempt::Help::Wait(_)),
        promise: match help {
            preempt::Help::Promise(node, victims) => Some((node, victims)),
            _ => None,
        },
    };
    (Decision::Nowhere(nowhere), looked_at)
}

/// A look at the nodes for one pod.
struct Search<'a> {
    pod: &'a PodInfo,
    cluster: &'a Cluster,
    feasible: Vec<(usize, &'a NodeInfo)>,
    refused: Vec<(usize, Refusal)>,
    refused_by: Plugins,
    looked_at: usize,
    /// Nodes that a plugin left out from the start, and which did.
    left_out: (usize, BTreeSet<&'static str>),
}

impl<'a> Search<'a> {
    fn new(pod: &'a PodInfo, cluster: &'a Cluster) -> Self {
        Self {
            pod,
            cluster,
            feasible: Vec::new(),
            refused: Vec::new(),
            refused_by: 0,
            looked_at: 0,
            left_out: (0, BTreeSet::new()),
        }
    }

    fn look(&mut self, slot: usize, rounds: &[Active<'_>]) {
        let Some(node) = self.cluster.node(slot) else {
            return;
        };
        self.looked_at += 1;
        match check(self.pod, self.cluster, (slot, node), rounds) {
            Ok(()) => self.feasible.push((slot, node)),
            Err((plugin, refusal)) => {
                self.refused_by |= 1 << plugin;
                self.refused.push((slot, refusal));
            }
        }
    }

    /// Looks until enough nodes are feasible.
    fn all(&mut self, rounds: &[Active<'_>], start: usize) {
        let all = self.cluster.nodes();
        let mut only: Option<BTreeSet<usize>> = None;
        for (index, plugin, round) in rounds {
            let Some(names) = round.only() else { continue };
            let slots = names.iter().filter_map(|name| self.cluster.slot(name));
            let slots: BTreeSet<usize> = slots.collect();
            only = Some(match only {
                None => slots,
                Some(before) => before.intersection(&slots).copied().collect(),
            });
            self.left_out.1.insert(plugin.name());
            self.refused_by |= 1 << index;
        }
        if let Some(only) = only {
            self.left_out.0 = all.len() - only.len();
            only.into_iter().for_each(|slot| self.look(slot, rounds));
            return;
        }
        let wanted = enough(all.len());
        let (before, after) = all.split_at(start % all.len().max(1));
        for slot in after.iter().chain(before) {
            self.look(*slot, rounds);
            if self.feasible.len() >= wanted {
                break;
            }
        }
    }
}

/// How many feasible nodes are enough to choose from.
/// Kubernetes: `numFeasibleNodesToFind` with percentageOfNodesToScore unset.
fn enough(nodes: usize) -> usize {
    if nodes < NODES_ALWAYS_LOOKED_AT {
        return nodes;
    }
    let percent = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(NODES_ALWAYS_LOOKED_AT)
}

/// Whether the pod may go to a node, with those there that are as important and were promised it.
fn check(
    pod: &PodInfo,
    cluster: &Cluster,
    (slot, node): (usize, &NodeInfo),
    rounds: &[Active<'_>],
) -> Result<(), (usize, Refusal)> {
    let promised = cluster.nominated(node.name()).iter();
    let promised =
        promised.filter(|(key, other)| other.priority() >= pod.priority() && *key != pod.key());
    let mut crowded: Option<NodeInfo> = None;
    for (key, other) in promised {
        let crowded = crowded.get_or_insert_with(|| node.clone());
        crowded.add_pod(key.clone(), other.clone());
    }
    filter((slot, crowded.as_ref().unwrap_or(node)), rounds)
}

fn filter((slot, node): (usize, &NodeInfo), rounds: &[Active<'_>]) -> Result<(), (usize, Refusal)> {
    for (index, _, round) in rounds {
        round
            .filter(slot, node)
            .map_err(|refusal| (*index, refusal))?;
    }
    Ok(())
}

/// The node with the highest weighted score; of equal ones the first that was looked at.
fn best(rounds: &mut [Active<'_>], feasible: &[(usize, &NodeInfo)]) -> Option<String> {
    if let [(_, only)] = feasible {
        return Some(only.name().to_owned());
    }
    let mut totals = vec![0i64; feasible.len()];
    let mut scores = vec![0i64; feasible.len()];
    for (_, plugin, round) in rounds {
        let weight = plugin.weight();
        if weight == 0 || feasible.is_empty() || !round.prepare(feasible) {
            continue;
        }
        for (score, (slot, node)) in scores.iter_mut().zip(feasible) {
            *score = round.score(*slot, node);
        }
        round.normalize(feasible, &mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += (*score).clamp(0, SCORE_MAX) * weight;
        }
    }
    let mut best: Option<(i64, &NodeInfo)> = None;
    for (total, (_, node)) in totals.into_iter().zip(feasible) {
        if best.is_none_or(|(highest, _)| total > highest) {
            best = Some((total, node));
        }
    }
    best.map(|(_, node)| node.name().to_owned())
}

fn explain<'a>(
    nodes: usize,
    refused: impl Iterator<Item = &'a Refusal>,
    (left_out, by): (usize, BTreeSet<&'static str>),
) -> String {
    let by: Vec<&str> = by.into_iter().collect();
    let absent = format!("node(s) didn't satisfy plugin(s) [{}]", by.join(" "));
    let reasons = refused.flat_map(|refusal| refusal.reasons.iter().map(|reason| (&**reason, 1)));
    let reasons = histogram(reasons.chain((left_out > 0).then_some((&*absent, left_out))));
    format!("0/{nodes} nodes are available: {reasons}.")
}

/// `1 Insufficient cpu, 2 Too many pods`: counted, sorted as text.
fn histogram<'a>(reasons: impl Iterator<Item = (&'a str, usize)>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, number) in reasons {
        *counts.entry(reason).or_default() += number;
    }
    let lines = counts.into_iter();
    let mut lines: Vec<String> = lines.map(|(r, count)| format!("{count} {r}")).collect();
    lines.sort();
    lines.join(", ")
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
