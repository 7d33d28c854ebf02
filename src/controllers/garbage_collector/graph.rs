//! Who owns whom, by uid, as far as it is known. Must not know how it becomes known, or what
//! follows from it.

use crate::client::{ApiResource, HasMeta, Meta};
use crate::meta::ObjectKey;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The finalizer of an object whose dependents are to lose their reference to it.
pub(super) const ORPHAN: &str = "orphan";
/// The finalizer of an object that goes after its dependents.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// An entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Owner {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) block_owner_deletion: bool,
}

/// What of an object's metadata is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnedMeta {
    #[serde(flatten)]
    own: Meta,
    owner_references: Vec<Owner>,
    finalizers: Vec<String>,
    deletion_timestamp: Option<String>,
}

/// An object as the informers hold it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Followed {
    metadata: OwnedMeta,
}

impl HasMeta for Followed {
    fn key(&self) -> ObjectKey {
        ObjectKey::new(&*self.metadata.own.namespace, &*self.metadata.own.name)
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}

impl Followed {
    pub(super) fn uid(&self) -> &str {
        &self.metadata.own.uid
    }

    /// The object as a node of the graph.
    pub(super) fn node(&self, served: &Arc<ApiResource>) -> Node {
        let meta = &self.metadata;
        let has = |name: &str| meta.finalizers.iter().any(|own| own == name);
        Node {
            served: served.clone(),
            key: self.key(),
            owners: meta.owner_references.clone(),
            deleting: meta.deletion_timestamp.is_some(),
            orphan: has(ORPHAN),
            foreground: has(FOREGROUND),
        }
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) served: Arc<ApiResource>,
    pub(super) key: ObjectKey,
    pub(super) owners: Vec<Owner>,
    pub(super) deleting: bool,
    /// Has the finalizer [`ORPHAN`].
    pub(super) orphan: bool,
    /// Has the finalizer [`FOREGROUND`].
    pub(super) foreground: bool,
}

impl Node {
    /// Whether it waits for its dependents to go.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.deleting && self.foreground
    }

    fn concerns_us(&self) -> bool {
        !self.owners.is_empty() || (self.deleting && (self.orphan || self.foreground))
    }
}

/// The graph. Bounded by the number of objects.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<String, Node>,
    /// By the owner's uid, which may be of no object.
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The objects that name `uid` as an owner.
    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = (&str, &Node)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| Some((uid.as_str(), self.nodes.get(uid)?)))
    }

    /// Takes in an object that is new or has changed; answers whom to look at.
    pub(super) fn apply(&mut self, uid: &str, node: Node) -> Vec<String> {
        let mut look = Vec::new();
        if node.concerns_us() {
            look.push(uid.to_owned());
        }
        if node.waits_for_dependents() {
            look.extend(self.dependents(uid).map(|(uid, _)| uid.to_owned()));
        }
        let before = self.nodes.get(uid).map(|node| node.owners.clone());
        let before = before.unwrap_or_default();
        for owner in &before {
            if !node.owners.iter().any(|own| own.uid == owner.uid) {
                self.unlink(&owner.uid, uid);
            }
        }
        for owner in &node.owners {
            let of = self.dependents.entry(owner.uid.clone()).or_default();
            of.insert(uid.to_owned());
        }
        look.extend(self.that_wait(before.iter().chain(&node.owners)));
        self.nodes.insert(uid.to_owned(), node);
        look
    }

    /// The objects that name an owner of a kind: who owns them could not be told before it is followed.
    pub(super) fn owned_by_kind(&self, served: &ApiResource) -> Vec<String> {
        let of_kind = |owner: &Owner| {
            let (group, _) = owner.api_version.rsplit_once('/').unwrap_or_default();
            owner.kind == served.kind && group == served.resource.group
        };
        let owned = self.nodes.iter();
        owned
            .filter(|(_, node)| node.owners.iter().any(of_kind))
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// Forgets the objects of a kind that is not served any more; answers whom to look at.
    pub(super) fn remove_kind(&mut self, served: &ApiResource) -> Vec<String> {
        let of_kind = |node: &Node| node.served.resource == served.resource;
        let nodes = self.nodes.iter().filter(|(_, node)| of_kind(node));
        let uids: Vec<String> = nodes.map(|(uid, _)| uid.clone()).collect();
        uids.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    /// Forgets an object that is gone; answers whom to look at.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(node) = self.nodes.remove(uid) else {
            return Vec::new();
        };
        for owner in &node.owners {
            self.unlink(&owner.uid, uid);
        }
        let mut look: Vec<String> = self
            .dependents(uid)
            .map(|(uid, _)| uid.to_owned())
            .collect();
        look.extend(self.that_wait(node.owners.iter()));
        look
    }

    fn unlink(&mut self, owner: &str, uid: &str) {
        if let Some(of) = self.dependents.get_mut(owner) {
            of.remove(uid);
            if of.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    /// Those of the owners that wait for something of their dependents.
    fn that_wait<'a>(&self, owners: impl Iterator<Item = &'a Owner>) -> Vec<String> {
        owners
            .filter(|owner| {
                let node = self.nodes.get(&owner.uid);
                node.is_some_and(|node| node.deleting && (node.foreground || node.orphan))
            })
            .map(|owner| owner.uid.clone())
            .collect()
    }
}
