//! The garbage collector's pure half: graphs of a few objects, and what is to be done about them.

use super::graph::{Followed, Graph, Node};
use super::plan::{Existence, Plan, plan};
use crate::client::ApiResource;
use crate::meta::GroupVersionResource;
use serde_json::{Value, json};
use std::sync::Arc;

fn served() -> Arc<ApiResource> {
    Arc::new(ApiResource {
        resource: GroupVersionResource::new("", "v1", "configmaps"),
        kind: "ConfigMap".to_owned(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        verbs: Vec::new(),
    })
}

/// An object `name` with uid `u-name`; owners are `name` or `name!` (which blocks).
fn node(name: &str, owners: &[&str], metadata: Value) -> Node {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| {
            let name = owner.trim_end_matches('!');
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name,
                "uid": format!("u-{name}"), "blockOwnerDeletion": owner.ends_with('!')})
        })
        .collect();
    let mut object = json!({"metadata": {"name": name, "namespace": "d",
        "uid": format!("u-{name}"), "ownerReferences": owners}});
    for (field, value) in metadata.as_object().unwrap() {
        object["metadata"][field] = value.clone();
    }
    let followed: Followed = serde_json::from_value(object).unwrap();
    followed.node(&served())
}

fn live(name: &str, owners: &[&str]) -> Node {
    node(name, owners, json!({}))
}

fn going(name: &str, owners: &[&str], finalizer: &str) -> Node {
    let metadata = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]});
    node(name, owners, metadata)
}

fn graph(nodes: &[Node]) -> Graph {
    let mut graph = Graph::default();
    for node in nodes {
        graph.apply(&format!("u-{}", node.key.name), node.clone());
    }
    graph
}

fn decide(nodes: &[Node], name: &str) -> Plan {
    plan(&graph(nodes), &format!("u-{name}"), |_| Existence::Absent)
}

fn delete(propagation: &'static str, unblock: bool) -> Plan {
    Plan::Delete {
        propagation,
        unblock,
    }
}

#[test]
fn who_has_lost_all_owners_goes_and_who_has_one_stays() {
    let owner = live("owner", &[]);
    let both = live("x", &["owner", "gone"]);
    assert_eq!(decide(std::slice::from_ref(&owner), "owner"), Plan::Nothing);
    assert_eq!(
        decide(&[owner.clone(), live("x", &["owner"])], "x"),
        Plan::Nothing
    );
    assert_eq!(
        decide(&[live("x", &["gone"])], "x"),
        delete("Background", false)
    );
    let plan = decide(&[owner, both], "x");
    assert_eq!(plan, Plan::Disown(vec!["u-gone".to_owned()]));
}

#[test]
fn an_owner_of_a_kind_that_nobody_serves_keeps_what_it_owns() {
    let graph = graph(&[live("x", &["gone"])]);
    assert_eq!(plan(&graph, "u-x", |_| Existence::Solid), Plan::Nothing);
}

#[test]
fn an_owner_of_another_namespace_is_no_owner() {
    let mut owner = live("owner", &[]);
    owner.key.namespace = "other".to_owned();
    let plan = decide(&[owner, live("x", &["owner"])], "x");
    assert_eq!(plan, delete("Background", false));
}

#[test]
fn a_foreground_deletion_waits_for_those_that_block_it() {
    let owner = going("owner", &[], "foregroundDeletion");
    let blocking = live("a", &["owner!"]);
    let other = live("b", &["owner"]);
    let all = [owner.clone(), blocking.clone(), other.clone()];
    let Plan::Look(mut uids) = decide(&all, "owner") else {
        panic!("it must wait");
    };
    uids.sort_unstable();
    assert_eq!(uids, ["u-a", "u-b"]);
    assert_eq!(decide(&all, "a"), delete("Background", false));
    assert_eq!(decide(&all, "b"), delete("Background", false));
    let plan = decide(&[owner.clone(), other], "owner");
    assert_eq!(
        plan,
        Plan::Release("foregroundDeletion"),
        "none is left that blocks"
    );
    let below = live("c", &["a!"]);
    let plan = decide(&[owner, blocking, below], "a");
    assert_eq!(
        plan,
        delete("Foreground", false),
        "it has dependents of its own"
    );
}

#[test]
fn two_that_own_each_other_do_not_wait_for_each_other() {
    let a = going("a", &["b!"], "foregroundDeletion");
    let b = live("b", &["a!"]);
    assert_eq!(decide(&[a, b], "b"), delete("Foreground", true));
}

#[test]
fn an_orphaning_deletion_lets_go_of_dependents_first() {
    let owner = going("owner", &[], "orphan");
    let plan = decide(&[owner.clone(), live("a", &["owner!"])], "owner");
    assert_eq!(plan, Plan::Orphan(vec!["u-a".to_owned()]));
    assert_eq!(decide(&[owner], "owner"), Plan::Release("orphan"));
}

#[test]
fn changes_tell_whom_to_look_at() {
    let mut graph = graph(&[live("owner", &[]), live("a", &["owner!"])]);
    let look = graph.apply("u-owner", going("owner", &[], "foregroundDeletion"));
    assert_eq!(look, ["u-owner", "u-a"]);
    assert_eq!(
        graph.remove("u-a"),
        ["u-owner"],
        "nothing holds the owner any more"
    );
    graph.apply("u-a", live("a", &["owner"]));
    assert_eq!(graph.remove("u-owner"), ["u-a"], "it has lost its owner");
}
