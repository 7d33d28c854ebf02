//! All nodes with the pods on them, and what makes decisions quick: pods by class (those that are
//! alike to others' terms are matched once), places by number, counts of what most pods need not ask
//! for. Must not know plugins or the queue.
//! Kubernetes: kube-scheduler `backend/cache`.

use crate::meta::ObjectKey;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::terms::{Labels, Namespaces, Terms};
use crate::sched::topology::Topology;
use crate::sched::view::{BudgetView, NodeView};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Labels of nodes whose places are kept numbered; when there are more, all are numbered anew as
/// they are asked for.
const TOPOLOGIES_MAX: usize = 64;

/// Pods that are alike to the terms of others: of one namespace, with the same labels and terms.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) terms: Terms,
    /// Whether they are on their way out.
    pub(crate) deleting: bool,
    /// How many are on each node, by its slot.
    pub(crate) nodes: HashMap<usize, i64>,
}

impl Class {
    /// The pods, as terms look at them.
    pub(crate) fn pod(&self) -> (&str, &Labels) {
        (&self.namespace, &self.labels)
    }
}

/// A pod that has been promised a node, where others make room for it.
pub(crate) type Nominated = Vec<(ObjectKey, Arc<PodInfo>)>;

/// The nodes and their pods.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    slots: Vec<NodeInfo>,
    by_name: BTreeMap<String, usize>,
    free: Vec<usize>,
    /// The slots of nodes that are there, by name.
    order: Vec<usize>,
    order_is_old: bool,
    pub(crate) classes: HashMap<Box<str>, Class>,
    /// The classes that have terms of their own.
    pub(crate) with_terms: BTreeSet<Box<str>>,
    topologies: HashMap<String, Topology>,
    /// On which node each pod counts, assumed or bound.
    placed: HashMap<ObjectKey, usize>,
    nominated: HashMap<String, Nominated>,
    pub(crate) namespaces: Namespaces,
    pub(crate) budgets: BTreeMap<ObjectKey, Arc<BudgetView>>,
    /// Nodes with taints.
    pub(crate) tainted: usize,
    /// Nodes that are cordoned.
    pub(crate) cordoned: usize,
    /// On how many nodes an image is.
    pub(crate) images: HashMap<String, usize>,
}

impl Cluster {
    /// The slots of the nodes that are there.
    pub(crate) fn nodes(&self) -> &[usize] {
        &self.order
    }

    /// The node of a slot.
    pub(crate) fn node(&self, slot: usize) -> Option<&NodeInfo> {
        self.slots.get(slot)
    }

    /// The slot of a node that is there.
    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        let slot = *self.by_name.get(name)?;
        self.slots.get(slot)?.node.is_some().then_some(slot)
    }

    /// The places of a label; none before [`Cluster::prepare`] has seen it.
    pub(crate) fn topology(&self, key: &str) -> Option<&Topology> {
        self.topologies.get(key)
    }

    /// Numbers the places that a decision on `pod` asks for.
    pub(crate) fn prepare(&mut self, pod: &PodInfo) {
        if self.order_is_old {
            let there = |slot: &usize| self.slots.get(*slot).is_some_and(|own| own.node.is_some());
            self.order = self.by_name.values().copied().filter(there).collect();
            self.order_is_old = false;
        }
        let own = pod.terms.all().map(|term| &term.topology_key);
        let own = own.chain(pod.spread.iter().map(|spread| &spread.topology_key));
        let of_others = self
            .with_terms
            .iter()
            .filter_map(|class| self.classes.get(class));
        let of_others =
            of_others.flat_map(|class| class.terms.all().map(|term| &term.topology_key));
        let missing: BTreeSet<String> = own
            .chain(of_others)
            .filter(|key| !self.topologies.contains_key(*key))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        if self.topologies.len() + missing.len() > TOPOLOGIES_MAX {
            self.topologies.clear();
            // Those that are there yet are asked for below, too.
            return self.prepare_anew(pod);
        }
        for key in missing {
            self.number(key);
        }
    }

    fn prepare_anew(&mut self, pod: &PodInfo) {
        let own = pod.terms.all().map(|term| term.topology_key.clone());
        let own = own.chain(pod.spread.iter().map(|spread| spread.topology_key.clone()));
        let of_others = self
            .with_terms
            .iter()
            .filter_map(|class| self.classes.get(class));
        let of_others =
            of_others.flat_map(|class| class.terms.all().map(|term| term.topology_key.clone()));
        let keys: BTreeSet<String> = own.chain(of_others).collect();
        for key in keys {
            self.number(key);
        }
    }

    fn number(&mut self, key: String) {
        let mut topology = Topology::default();
        for (slot, node) in self.slots.iter().enumerate() {
            let labels = node.node.as_ref().map(|node| &node.metadata.labels);
            topology.set(slot, &key, labels);
        }
        self.topologies.insert(key, topology);
    }

    fn slot_of(&mut self, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(NodeInfo::default());
        }
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    /// Counts or uncounts what a node says of itself.
    fn count(&mut self, slot: usize, there: bool) {
        let Some(info) = self.slots.get(slot) else {
            return;
        };
        let Some(node) = &info.node else { return };
        let count = |number: &mut usize, is: bool| match (is, there) {
            (false, _) => {}
            (true, true) => *number += 1,
            (true, false) => *number = number.saturating_sub(1),
        };
        count(&mut self.tainted, !node.spec.taints.is_empty());
        count(&mut self.cordoned, node.spec.unschedulable);
        for image in info.images.keys() {
            match (self.images.get_mut(image), there) {
                (Some(number), _) => count(number, true),
                (None, true) => {
                    self.images.insert(image.clone(), 1);
                }
                (None, false) => {}
            }
            if self.images.get(image) == Some(&0) {
                self.images.remove(image);
            }
        }
        for (key, topology) in &mut self.topologies {
            let labels = there.then_some(&node.metadata.labels);
            topology.set(slot, key, labels);
        }
    }

    /// A node is new or has changed.
    pub(crate) fn set_node(&mut self, node: Arc<NodeView>) {
        let slot = self.slot_of(&node.metadata.own.name);
        self.count(slot, false);
        if let Some(info) = self.slots.get_mut(slot) {
            self.order_is_old |= info.node.is_none();
            info.set_node(node);
        }
        self.count(slot, true);
    }

    /// A node is gone. Its pods may outlive it; they count again should it come back.
    pub(crate) fn remove_node(&mut self, name: &str) {
        let Some(slot) = self.by_name.get(name).copied() else {
            return;
        };
        self.count(slot, false);
        self.order_is_old = true;
        if let Some(info) = self.slots.get_mut(slot) {
            info.node = None;
        }
        self.forget_if_empty(slot, name);
    }

    fn forget_if_empty(&mut self, slot: usize, name: &str) {
        let gone = |info: &NodeInfo| info.node.is_none() && info.pods.is_empty();
        if self.slots.get(slot).is_some_and(gone) {
            self.by_name.remove(name);
            self.free.push(slot);
            if let Some(info) = self.slots.get_mut(slot) {
                *info = NodeInfo::default();
            }
        }
    }

    /// Whether a pod counts as on a node.
    pub(crate) fn is_placed(&self, key: &ObjectKey) -> bool {
        self.placed.contains_key(key)
    }

    /// A pod as it counts.
    pub(crate) fn pod(&self, key: &ObjectKey) -> Option<&Arc<PodInfo>> {
        self.slots.get(*self.placed.get(key)?)?.pods.get(key)
    }

    /// A pod is on a node.
    pub(crate) fn place(&mut self, key: &ObjectKey, node: &str, pod: Arc<PodInfo>) {
        self.unplace(key);
        self.denominate(key);
        let slot = self.slot_of(node);
        let class = self
            .classes
            .entry(pod.class.clone())
            .or_insert_with(|| Class {
                namespace: pod.namespace().to_owned(),
                labels: pod.labels().clone(),
                terms: pod.terms.clone(),
                deleting: pod.deleting(),
                nodes: HashMap::new(),
            });
        *class.nodes.entry(slot).or_default() += 1;
        if !class.terms.is_empty() {
            self.with_terms.insert(pod.class.clone());
        }
        if let Some(info) = self.slots.get_mut(slot) {
            info.add_pod(key.clone(), pod);
        }
        self.placed.insert(key.clone(), slot);
    }

    /// A pod is on no node any more; answers it, if it was on one.
    pub(crate) fn unplace(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let slot = self.placed.remove(key)?;
        let info = self.slots.get_mut(slot)?;
        let pod = info.remove_pod(key)?;
        if let Some(class) = self.classes.get_mut(&pod.class) {
            if let Some(count) = class.nodes.get_mut(&slot) {
                *count -= 1;
                if *count <= 0 {
                    class.nodes.remove(&slot);
                }
            }
            if class.nodes.is_empty() {
                self.classes.remove(&pod.class);
                self.with_terms.remove(&pod.class);
            }
        }
        let node = pod.pod.spec.node_name.clone();
        if !node.is_empty() {
            self.forget_if_empty(slot, &node);
        }
        Some(pod)
    }

    /// A pod is promised a node.
    pub(crate) fn nominate(&mut self, key: &ObjectKey, node: &str, pod: Arc<PodInfo>) {
        self.denominate(key);
        let promised = self.nominated.entry(node.to_owned()).or_default();
        promised.push((key.clone(), pod));
    }

    /// A pod is promised no node any more.
    pub(crate) fn denominate(&mut self, key: &ObjectKey) {
        if self.nominated.is_empty() {
            return;
        }
        for promised in self.nominated.values_mut() {
            promised.retain(|(own, _)| own != key);
        }
        self.nominated.retain(|_, promised| !promised.is_empty());
    }

    /// The pods that are promised a node.
    pub(crate) fn nominated(&self, node: &str) -> &[(ObjectKey, Arc<PodInfo>)] {
        if self.nominated.is_empty() {
            return &[];
        }
        self.nominated.get(node).map_or(&[], Vec::as_slice)
    }
}
