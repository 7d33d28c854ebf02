//! The decision: a pod and the nodes in, a node or the reasons against each out. Pure: no clock, no
//! client, no cache. The order of the plugins is the list in `plugins/mod.rs`.
//! Kubernetes: kube-scheduler `schedulePod`, `FitError`; the messages are its own.

use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{PLUGINS, SCORE_MAX};
use std::collections::BTreeMap;

/// Below this many nodes all are looked at.
const NODES_ALWAYS_LOOKED_AT: usize = 100;

/// Why a plugin refuses a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The words, without the count of nodes.
    pub(crate) reasons: Vec<String>,
    /// Whether taking pods off the node could help.
    pub(crate) resolvable: bool,
}

impl Refusal {
    pub(crate) fn resolvable(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            resolvable: true,
        }
    }

    pub(crate) fn for_good(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            resolvable: false,
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The pod goes to this node.
    Node(String),
    /// It fits nowhere; the message for people.
    Nowhere(String),
}

/// Decides where `pod` goes. `start` is where the search begins, so that equal nodes take turns;
/// the second part of the answer is how many nodes were looked at.
pub(crate) fn decide(pod: &PodInfo, nodes: &[&NodeInfo], start: usize) -> (Decision, usize) {
    let known: Vec<&NodeInfo> = nodes
        .iter()
        .copied()
        .filter(|node| node.node.is_some())
        .collect();
    if known.is_empty() {
        return (
            Decision::Nowhere("no nodes available to schedule pods".to_owned()),
            0,
        );
    }
    let wanted = enough(known.len());
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut refused: Vec<Refusal> = Vec::new();
    let mut looked_at = 0;
    let (before, after) = known.split_at(start % known.len());
    for node in after.iter().chain(before) {
        looked_at += 1;
        match filter(pod, node) {
            Ok(()) => feasible.push(node),
            Err(refusal) => refused.push(refusal),
        }
        if feasible.len() >= wanted {
            break;
        }
    }
    let decision = match best(pod, &feasible) {
        Some(name) => Decision::Node(name),
        None => Decision::Nowhere(explain(known.len(), &refused)),
    };
    (decision, looked_at)
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

fn filter(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    PLUGINS
        .iter()
        .try_for_each(|plugin| plugin.filter(pod, node))
}

/// The node with the highest weighted score; of equal ones the first that was looked at.
fn best(pod: &PodInfo, feasible: &[&NodeInfo]) -> Option<String> {
    if let [only] = feasible {
        return Some(only.name().to_owned());
    }
    let mut totals = vec![0i64; feasible.len()];
    for plugin in PLUGINS.iter().filter(|plugin| plugin.weight() > 0) {
        let mut scores: Vec<i64> = feasible
            .iter()
            .map(|node| plugin.score(pod, node))
            .collect();
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score.clamp(0, SCORE_MAX) * plugin.weight();
        }
    }
    let mut best: Option<(i64, &NodeInfo)> = None;
    for (total, node) in totals.into_iter().zip(feasible) {
        if best.is_none_or(|(highest, _)| total > highest) {
            best = Some((total, node));
        }
    }
    best.map(|(_, node)| node.name().to_owned())
}

fn explain(nodes: usize, refused: &[Refusal]) -> String {
    let reasons = histogram(
        refused
            .iter()
            .flat_map(|refusal| refusal.reasons.iter().cloned()),
    );
    let preemption = histogram(refused.iter().map(|refusal| {
        if refusal.resolvable {
            "No preemption victims found for incoming pod".to_owned()
        } else {
            "Preemption is not helpful for scheduling".to_owned()
        }
    }));
    format!(
        "0/{nodes} nodes are available: {reasons}. no new claims to deallocate, \
         preemption: 0/{nodes} nodes are available: {preemption}."
    )
}

/// `1 Insufficient cpu, 2 Too many pods`: counted, sorted as text.
fn histogram(reasons: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut lines: Vec<String> = counts
        .into_iter()
        .map(|(r, count)| format!("{count} {r}"))
        .collect();
    lines.sort();
    lines.join(", ")
}

#[cfg(test)]
mod tests;
