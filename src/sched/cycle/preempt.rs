//! Who makes room for a pod that fits nowhere: pods of lower priority leave a node, as few and as
//! unimportant ones as can be, against as few disruption budgets as can be. Pure.
//! Kubernetes: `framework/preemption`, `plugins/defaultpreemption`.

use super::{Active, Refusal, filter, histogram};
use crate::meta::labels::Selector;
use crate::sched::cluster::Cluster;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::terms;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Candidates that are looked at: this part of all nodes in percent, but no fewer than the other.
const CANDIDATES_PERCENT: usize = 10;
const CANDIDATES_LEAST: usize = 100;

/// What comes of it.
#[derive(Debug)]
pub(super) enum Help {
    /// The pod is promised a node, which these leave.
    Promise(String, Vec<Arc<PodInfo>>),
    /// Nobody can make room; why.
    None(String),
    /// Somebody is making room already; what is said meanwhile.
    Wait(String),
}

/// Those that would leave a node.
struct Candidate {
    slot: usize,
    /// The most important first.
    victims: Vec<Arc<PodInfo>>,
    /// How many of them against a disruption budget.
    violations: usize,
}

/// Looks for a node on which others can make room. `refused` is why each node was refused.
pub(super) fn preempt(
    pod: &PodInfo,
    cluster: &Cluster,
    rounds: &mut [Active<'_>],
    refused: &[(usize, Refusal)],
    start: usize,
) -> Help {
    if pod.pod.spec.preemption_policy == "Never" {
        return Help::None("not eligible due to preemptionPolicy=Never.".to_owned());
    }
    let promised = &pod.pod.status.nominated_node_name;
    let promised = cluster.slot(promised).and_then(|slot| cluster.node(slot));
    let mut there = promised.iter().flat_map(|node| node.pods.values());
    if there.any(|other| other.deleting() && other.priority() < pod.priority()) {
        let why = "not eligible due to a terminating pod on the nominated node.";
        return Help::Wait(why.to_owned());
    }
    let all = cluster.nodes().len();
    let (hopeful, hopeless): (Vec<_>, Vec<_>) =
        refused.iter().partition(|(_, refusal)| refusal.resolvable);
    let unhelpful = all - hopeful.len().min(all);
    debug_assert!(hopeless.len() <= unhelpful);
    let wanted = (hopeful.len() * CANDIDATES_PERCENT / 100).max(CANDIDATES_LEAST);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    let (before, after) = hopeful.split_at(start % hopeful.len().max(1));
    for (slot, _) in after.iter().chain(before) {
        match on_node(pod, cluster, *slot, rounds) {
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => reasons.extend(refusal.reasons),
        }
        let peaceful = candidates.iter().any(|candidate| candidate.violations == 0);
        if candidates.len() >= wanted && peaceful {
            break;
        }
    }
    let chosen = candidates.into_iter().min_by_key(cost);
    let Some((node, chosen)) = chosen.and_then(|own| Some((cluster.node(own.slot)?, own))) else {
        let own = reasons.iter().map(|reason| (&**reason, 1));
        let others = ("Preemption is not helpful for scheduling", unhelpful);
        let why = histogram(own.chain((unhelpful > 0).then_some(others)));
        return Help::None(format!("0/{all} nodes are available: {why}."));
    };
    Help::Promise(node.name().to_owned(), chosen.victims)
}

/// What is lost with a candidate: the least is the best. Kubernetes: pickOneNodeForPreemption.
fn cost(candidate: &Candidate) -> (usize, i32, i64, usize, Reverse<String>) {
    let victims = &candidate.victims;
    let highest = victims.first().map_or(i32::MIN, |victim| victim.priority());
    let sum = victims
        .iter()
        .map(|victim| i64::from(victim.priority()) + i64::from(i32::MAX) + 1)
        .sum();
    // Of the most important ones, those that started last lose least.
    let top = victims.iter().filter(|victim| victim.priority() == highest);
    let earliest = top.map(|victim| started(victim).to_owned()).min();
    let earliest = earliest.unwrap_or_default();
    (
        candidate.violations,
        highest,
        sum,
        victims.len(),
        Reverse(earliest),
    )
}

fn started(pod: &PodInfo) -> &str {
    let started = &pod.pod.status.start_time;
    if started.is_empty() {
        // It has not started: it is the youngest.
        "9999"
    } else {
        started
    }
}

/// Those that have to leave a node so that the pod fits.
fn on_node(
    pod: &PodInfo,
    cluster: &Cluster,
    slot: usize,
    rounds: &mut [Active<'_>],
) -> Result<Candidate, Refusal> {
    let nobody = || Refusal::for_good("No preemption victims found for incoming pod");
    let node = cluster.node(slot).ok_or_else(nobody)?;
    let lower = node
        .pods
        .values()
        .filter(|own| own.priority() < pod.priority());
    let mut lower: Vec<Arc<PodInfo>> = lower.cloned().collect();
    if lower.is_empty() {
        return Err(nobody());
    }
    // The most important first; of equal ones those that started first.
    lower.sort_by(|a, b| {
        let order = |own: &PodInfo| (Reverse(own.priority()), started(own).to_owned(), own.key());
        order(a).cmp(&order(b))
    });
    let mut sandbox = node.clone();
    for (key, other) in cluster.nominated(node.name()) {
        if other.priority() >= pod.priority() && *key != pod.key() {
            sandbox.add_pod(key.clone(), other.clone());
        }
    }
    for victim in &lower {
        suppose(rounds, slot, &mut sandbox, victim, false);
    }
    let outcome = reprieve(cluster, slot, &mut sandbox, rounds, &lower);
    // The rounds are to know the node as it is.
    for victim in &lower {
        if !sandbox.pods.contains_key(&victim.key()) {
            suppose(rounds, slot, &mut sandbox, victim, true);
        }
    }
    outcome
}

fn suppose(
    rounds: &mut [Active<'_>],
    slot: usize,
    node: &mut NodeInfo,
    other: &Arc<PodInfo>,
    comes: bool,
) {
    if comes {
        node.add_pod(other.key(), other.clone());
    } else {
        node.remove_pod(&other.key());
    }
    for (_, _, round) in rounds {
        round.suppose(slot, other, if comes { 1 } else { -1 });
    }
}

/// Of those that could leave, lets stay whom it can, the most important and the protected first.
fn reprieve(
    cluster: &Cluster,
    slot: usize,
    sandbox: &mut NodeInfo,
    rounds: &mut [Active<'_>],
    lower: &[Arc<PodInfo>],
) -> Result<Candidate, Refusal> {
    filter((slot, sandbox), rounds).map_err(|(_, refusal)| refusal)?;
    let (protected, free) = by_budget(cluster, lower);
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (list, is_protected) in [(protected, true), (free, false)] {
        for other in list {
            suppose(rounds, slot, sandbox, &other, true);
            if filter((slot, sandbox), rounds).is_err() {
                suppose(rounds, slot, sandbox, &other, false);
                violations += usize::from(is_protected);
                victims.push(other);
            }
        }
    }
    victims.sort_by_key(|victim| Reverse(victim.priority()));
    Ok(Candidate {
        slot,
        victims,
        violations,
    })
}

/// Those whose leaving would break a disruption budget, and the others.
/// Kubernetes: filterPodsWithPDBViolation.
fn by_budget(cluster: &Cluster, pods: &[Arc<PodInfo>]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut left: BTreeMap<_, i64> = BTreeMap::new();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        for (key, budget) in &cluster.budgets {
            let selector = Selector::from_label_selector(budget.spec.selector.as_ref());
            let means = selector.is_ok_and(|selector| terms::matches(&selector, pod.labels()));
            let counted = budget
                .status
                .disrupted_pods
                .contains_key(&pod.pod.metadata.own.name);
            if key.namespace != pod.namespace() || pod.labels().is_empty() || !means || counted {
                continue;
            }
            let left = left.entry(key).or_insert(budget.status.disruptions_allowed);
            *left -= 1;
            violates |= *left < 0;
        }
        violates
    })
}
