//! What is to be done about one object: pure. The graph may be behind, so whether an owner that it
//! does not have exists is asked for by the caller first.
//! Kubernetes: `pkg/controller/garbagecollector` attemptToDeleteItem,
//! processDeletingDependentsItem, orphanDependents.

use super::graph::{FOREGROUND, Graph, Node, ORPHAN, Owner};

/// What the server says of an owner that the graph does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    /// It is there, or nobody can tell: its kind is not served.
    Solid,
    /// There is no such object, or one of another uid.
    Absent,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Nothing,
    /// Take the reference to this object off these dependents, then its finalizer.
    Orphan(Vec<String>),
    /// Take this finalizer off it.
    Release(&'static str),
    /// Look at these dependents: it waits for them.
    Look(Vec<String>),
    /// Take the references to owners of these uids off it: it has others.
    Disown(Vec<String>),
    /// Delete it. Those of its references that would hold back their owner must no longer.
    Delete {
        propagation: &'static str,
        unblock: bool,
    },
}

/// Owners of `node` that the graph cannot vouch for.
pub(super) fn unknown_owners<'a>(graph: &Graph, node: &'a Node) -> Vec<&'a Owner> {
    if node.deleting {
        return Vec::new();
    }
    let unknown = |owner: &&Owner| known(graph, node, owner).is_none();
    node.owners.iter().filter(unknown).collect()
}

/// The owner in the graph, if it is the one that is meant.
fn known<'a>(graph: &'a Graph, node: &Node, owner: &Owner) -> Option<&'a Node> {
    let found = graph.get(&owner.uid)?;
    let there = !found.served.namespaced || found.key.namespace == node.key.namespace;
    let same = found.served.kind == owner.kind && found.key.name == owner.name;
    (there && same).then_some(found)
}

/// Decides about the object `uid`. `existence` tells of the owners of [`unknown_owners`].
pub(super) fn plan(graph: &Graph, uid: &str, existence: impl Fn(&Owner) -> Existence) -> Plan {
    let Some(node) = graph.get(uid) else {
        return Plan::Nothing;
    };
    if node.deleting {
        return plan_deleting(graph, uid, node);
    }
    if node.owners.is_empty() {
        return Plan::Nothing;
    }
    let (mut solid, mut gone, mut waiting) = (false, Vec::new(), Vec::new());
    for owner in &node.owners {
        match known(graph, node, owner) {
            Some(found) if found.waits_for_dependents() => waiting.push(owner.uid.clone()),
            Some(_) => solid = true,
            None if existence(owner) == Existence::Absent => gone.push(owner.uid.clone()),
            None => solid = true,
        }
    }
    if solid {
        gone.append(&mut waiting);
        return match gone.is_empty() {
            true => Plan::Nothing,
            false => Plan::Disown(gone),
        };
    }
    if !waiting.is_empty() && graph.dependents(uid).next().is_some() {
        // Two that own each other would wait for each other for ever.
        let unblock = graph
            .dependents(uid)
            .any(|(_, dependent)| dependent.waits_for_dependents());
        let propagation = "Foreground";
        return Plan::Delete {
            propagation,
            unblock,
        };
    }
    let propagation = match (node.orphan, node.foreground) {
        (true, _) => "Orphan",
        (_, true) => "Foreground",
        _ => "Background",
    };
    Plan::Delete {
        propagation,
        unblock: false,
    }
}

fn plan_deleting(graph: &Graph, uid: &str, node: &Node) -> Plan {
    let all = || graph.dependents(uid);
    let named = |dependents: Vec<&str>| dependents.into_iter().map(str::to_owned).collect();
    if node.orphan {
        let dependents: Vec<&str> = all().map(|(uid, _)| uid).collect();
        return match dependents.is_empty() {
            true => Plan::Release(ORPHAN),
            false => Plan::Orphan(named(dependents)),
        };
    }
    if !node.foreground {
        return Plan::Nothing;
    }
    let blocks = |dependent: &Node| {
        let mut owners = dependent.owners.iter();
        owners.any(|owner| owner.uid == uid && owner.block_owner_deletion)
    };
    if !all().any(|(_, dependent)| blocks(dependent)) {
        return Plan::Release(FOREGROUND);
    }
    let left = all().filter(|(_, dependent)| !dependent.deleting);
    Plan::Look(named(left.map(|(uid, _)| uid).collect()))
}
