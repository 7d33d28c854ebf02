//! What a DaemonSet does next, and what its status says: pure.
//! Kubernetes: `pkg/controller/daemon/{daemon_controller,update}.go`.

use super::place::{GENERATION, GENERATION_LABEL, Placement};
use crate::controllers::members::{Member, Phase};
use crate::controllers::workloads::history::REVISION_LABEL;
use crate::controllers::workloads::{number, number_or_percent};
use crate::meta::Object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A DaemonSet, its pods, and the nodes there are.
pub(super) struct View<'a> {
    pub(super) daemons: &'a Object,
    pub(super) placement: &'a Placement,
    pub(super) nodes: &'a [Arc<Member>],
    /// By name of the node that they are on or for.
    pub(super) pods: BTreeMap<Box<str>, Vec<Arc<Member>>>,
    /// What pods of the newest revision bear.
    pub(super) hash: &'a str,
    pub(super) collisions: i64,
    pub(super) now: Timestamp,
}

/// What is to be done and told.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub(super) create: Vec<Box<str>>,
    /// Pods that go.
    pub(super) delete: Vec<Arc<Member>>,
    /// Pods of those that go because they have ended, with their node.
    pub(super) ended: Vec<(Arc<Member>, Box<str>)>,
    /// The status.
    pub(super) status: Map<String, Value>,
    /// When to look again, though nothing changes.
    pub(super) again: Option<Duration>,
}

impl Plan {
    fn look_again(&mut self, after: Duration) {
        let next = self.again.get_or_insert(after);
        *next = after.min(*next);
    }
}

/// The pods of a DaemonSet by the node that they are on or for. Those that have ended and are on
/// their way out are not its business any more.
pub(super) fn by_node(pods: Vec<Arc<Member>>) -> BTreeMap<Box<str>, Vec<Arc<Member>>> {
    let mut found: BTreeMap<Box<str>, Vec<Arc<Member>>> = BTreeMap::new();
    for pod in pods {
        let node = if pod.pod.node.is_empty() {
            pod.pod.target.clone()
        } else {
            pod.pod.node.clone()
        };
        if node.is_empty() || pod.pod.ended() && pod.deleting {
            continue;
        }
        found.entry(node).or_default().push(pod);
    }
    for pods in found.values_mut() {
        // Bound before unbound, old before young.
        pods.sort_by(|a, b| {
            let bound = |pod: &Member| pod.pod.node.is_empty();
            let age = |pod: &Member| (pod.created, pod.key.name.clone());
            bound(a).cmp(&bound(b)).then_with(|| age(a).cmp(&age(b)))
        });
    }
    found
}

/// Decides. `delay` says how long a failed pod of a node has to stay yet; none if it may go now.
pub(super) fn plan(view: &View<'_>, mut delay: impl FnMut(&str) -> Option<Duration>) -> Plan {
    let mut plan = Plan {
        status: Map::new(),
        ..Plan::default()
    };
    let all: Vec<(&Arc<Member>, (bool, bool))> = view
        .nodes
        .iter()
        .map(|node| (node, view.placement.of(node)))
        .collect();
    for (node, (wanted, stays)) in &all {
        view.on_node(node, (*wanted, *stays), &mut plan, &mut delay);
    }
    let known: BTreeSet<&str> = view.nodes.iter().map(|node| &*node.key.name).collect();
    for (node, pods) in &view.pods {
        if !known.contains(&**node) {
            // Never bound, for a node that is gone: nobody else removes it.
            let unbound = pods
                .iter()
                .filter(|pod| pod.pod.node.is_empty() && !pod.deleting);
            plan.delete.extend(unbound.cloned());
        }
    }
    let settled = plan.create.is_empty() && plan.delete.is_empty();
    let by_hand = view.daemons.str_at(&["spec", "updateStrategy", "type"]) == "OnDelete";
    let wanted = all.iter().filter(|(_, (wanted, _))| *wanted);
    let wanted: Vec<&str> = wanted.map(|(node, _)| &*node.key.name).collect();
    if settled && !by_hand {
        view.roll(&wanted, &mut plan);
    }
    view.status(&all, &mut plan);
    plan
}

impl View<'_> {
    fn updated(&self, pod: &Member) -> bool {
        let generation = self.daemons.annotation(GENERATION);
        pod.label(REVISION_LABEL) == Some(self.hash)
            || generation.is_some() && pod.label(GENERATION_LABEL) == generation
    }

    /// How long a ready pod has to stay so before it is available: zero if it is.
    fn until_available(&self, pod: &Member) -> Option<Duration> {
        let wait = SignedDuration::from_secs(number(self.daemons, &["spec", "minReadySeconds"]));
        let left = wait.saturating_sub(self.now.duration_since(pod.pod.ready?));
        Some(Duration::try_from(left).unwrap_or_default())
    }

    fn available(&self, pod: &Member) -> bool {
        self.until_available(pod).is_some_and(|left| left.is_zero())
    }

    fn limit(&self, name: &str, of: usize) -> usize {
        let value = self
            .daemons
            .get(&["spec", "updateStrategy", "rollingUpdate", name]);
        let of = i64::try_from(of).unwrap_or(i64::MAX);
        usize::try_from(number_or_percent(value, of, true)).unwrap_or(0)
    }

    fn surges(&self) -> bool {
        self.limit("maxSurge", 1) > 0
    }

    /// One node gets its pod, or loses those that are too many. Kubernetes: podsShouldBeOnNode.
    fn on_node(
        &self,
        node: &Member,
        (wanted, stays): (bool, bool),
        plan: &mut Plan,
        delay: &mut impl FnMut(&str) -> Option<Duration>,
    ) {
        let name: &str = &node.key.name;
        let Some(pods) = self.pods.get(name) else {
            if wanted {
                plan.create.push(name.into());
            }
            return;
        };
        let staying = pods.iter().filter(|pod| !pod.deleting);
        if !stays {
            plan.delete.extend(staying.cloned());
            return;
        }
        let mut running = Vec::new();
        for pod in staying {
            if pod.pod.phase == Phase::Failed
                && let Some(left) = delay(name)
            {
                plan.look_again(left);
            } else if pod.pod.ended() {
                plan.ended.push((pod.clone(), name.into()));
                plan.delete.push(pod.clone());
            } else {
                running.push(pod);
            }
        }
        if !self.surges() {
            plan.delete.extend(running.into_iter().skip(1).cloned());
            return;
        }
        if running.is_empty() && wanted {
            // The old one is still going: with a surge, the new one need not wait for it.
            plan.create.push(name.into());
        }
        if running.len() > 1 {
            self.surplus_of_surge(running, plan);
        }
    }

    /// Of an old and a new pod the old one stays until the new one is available.
    fn surplus_of_surge(&self, running: Vec<&Arc<Member>>, plan: &mut Plan) {
        let (mut newest, mut oldest) = (None, None);
        for pod in running {
            let place = if pod.label(REVISION_LABEL) == Some(self.hash) {
                &mut newest
            } else {
                &mut oldest
            };
            match place {
                None => *place = Some(pod),
                Some(_) => plan.delete.push(pod.clone()),
            }
        }
        if let (Some(new), Some(old)) = (newest, oldest)
            && (old.pod.ready.is_none() || self.available(new))
        {
            plan.delete.push(old.clone());
        }
    }

    /// The new and the old pod of a node; none if there are more than one of either.
    fn pair<'p>(&self, pods: &'p [Arc<Member>]) -> Option<Pair<'p>> {
        let mut pair = (None, None);
        for pod in pods.iter().filter(|pod| !pod.deleting) {
            let place = if self.updated(pod) {
                &mut pair.0
            } else {
                &mut pair.1
            };
            if place.replace(pod).is_some() {
                return None;
            }
        }
        Some(pair)
    }

    /// Kubernetes: rollingUpdate.
    fn roll(&self, wanted: &[&str], plan: &mut Plan) {
        let max_surge = self.limit("maxSurge", wanted.len());
        let mut max_unavailable = self.limit("maxUnavailable", wanted.len());
        if !wanted.is_empty() && max_surge == 0 && max_unavailable == 0 {
            max_unavailable = 1;
        }
        let none: &[Arc<Member>] = &[];
        let bare = wanted.iter().filter(|node| !self.pods.contains_key(**node));
        let nodes = self.pods.iter().map(|(node, pods)| (&**node, &pods[..]));
        let nodes = nodes.chain(bare.map(|node| (*node, none)));
        if max_surge == 0 {
            let (mut unavailable, mut candidates) = (0, Vec::new());
            for (_, pods) in nodes {
                match self.pair(pods) {
                    Some((Some(new), None)) if self.available(new) => {}
                    Some((None, Some(old))) if self.available(old) => candidates.push(old),
                    // It serves nobody, so nothing is lost with it.
                    Some((None, Some(old))) => plan.delete.push(old.clone()),
                    _ => unavailable += 1,
                }
            }
            let room = max_unavailable.saturating_sub(unavailable);
            plan.delete
                .extend(candidates.into_iter().take(room).cloned());
            return;
        }
        let (mut surge, mut candidates) = (0, Vec::new());
        for (node, pods) in nodes {
            match self.pair(pods) {
                None => surge += 1,
                Some((_, None)) => {}
                Some((None, Some(old))) if self.available(old) => candidates.push(node),
                Some((None, Some(_))) => plan.create.push(node.into()),
                Some((Some(new), Some(old))) if self.available(new) => {
                    plan.delete.push(old.clone());
                }
                Some((Some(_), Some(_))) => surge += 1,
            }
        }
        let room = max_surge.saturating_sub(surge);
        plan.create
            .extend(candidates.into_iter().take(room).map(Box::from));
    }

    fn status(&self, nodes: &[(&Arc<Member>, (bool, bool))], plan: &mut Plan) {
        let [mut desired, mut current, mut misplaced] = [0; 3];
        let [mut ready, mut available, mut updated] = [0; 3];
        for (node, (wanted, _)) in nodes {
            let pods = self.pods.get(&*node.key.name);
            let first = pods.and_then(|pods| pods.first());
            if !wanted {
                misplaced += usize::from(first.is_some());
                continue;
            }
            desired += 1;
            let Some(pod) = first else { continue };
            current += 1;
            updated += usize::from(self.updated(pod));
            let Some(left) = self.until_available(pod) else {
                continue;
            };
            ready += 1;
            if left.is_zero() {
                available += 1;
            } else {
                plan.look_again(left);
            }
        }
        let status = &mut plan.status;
        for (name, count) in [
            ("currentNumberScheduled", current),
            ("numberMisscheduled", misplaced),
            ("desiredNumberScheduled", desired),
            ("numberReady", ready),
        ] {
            status.insert(name.to_owned(), json!(count));
        }
        for (name, count) in [
            ("updatedNumberScheduled", updated),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
        ] {
            if count > 0 {
                status.insert(name.to_owned(), json!(count));
            }
        }
        if self.collisions > 0 {
            status.insert("collisionCount".to_owned(), json!(self.collisions));
        }
        if let Some(conditions) = self.daemons.get(&["status", "conditions"]) {
            status.insert("conditions".to_owned(), conditions.clone());
        }
        let generation = json!(self.daemons.generation());
        status.insert("observedGeneration".to_owned(), generation);
    }
}

/// The new and the old pod of a node.
type Pair<'p> = (Option<&'p Arc<Member>>, Option<&'p Arc<Member>>);
