//! garbage-collector-controller: deletes what has lost all its owners, and does what the finalizers
//! of a foreground or an orphaning deletion ask for. `graph` knows who owns whom, `plan` decides,
//! this file follows every kind that is served and does.
//! Kubernetes: `pkg/controller/garbagecollector`.

mod graph;
mod plan;
#[cfg(test)]
mod tests;

use crate::client::{
    ApiResource, Change, Client, ClientError, Informer, InformerConfig, PatchKind, QueueStats,
    Versions, WorkQueue, discover,
};
use crate::controllers::def::Context;
use crate::meta::{GroupVersionResource, Object};
use crate::resources::stored_group;
use crate::stdx::{Backoff, Shutdown};
use graph::{Followed, Graph, Node, Owner};
use parking_lot::Mutex;
use plan::{Existence, Plan, plan, unknown_owners};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The service account that it acts as.
pub(super) const ACCOUNT: &str = "generic-garbage-collector";
/// Kubernetes' name of the queue.
pub(super) const NAME: &str = "garbage_collector_attempt_to_delete";
/// Objects that are worked on at the same time. Kubernetes: concurrent-gc-syncs.
const WORKERS: usize = 20;
/// The first wait before discovery is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
/// The longest wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// What brings kinds: group, version, plural.
const DEFINITIONS: (&str, &str, &str) = ("apiextensions.k8s.io", "v1", "customresourcedefinitions");
/// How long changes of kinds are gathered before it is asked what is served.
const SETTLE: Duration = Duration::from_millis(100);

/// The collector.
struct Collector {
    context: Context,
    graph: Mutex<Graph>,
    queue: WorkQueue<String>,
    /// What is served, and the caches of it.
    followed: Mutex<Vec<FollowedKind>>,
}

/// A kind that is followed, until its branch is stopped.
struct FollowedKind {
    served: Arc<ApiResource>,
    informer: Informer<Followed>,
    branch: Shutdown,
}

/// Starts the collector, until `shutdown`; answers how to ask what its queue does.
pub(super) fn start(
    context: Context,
    shutdown: &Shutdown,
) -> impl Fn() -> QueueStats + Clone + Send + Sync + 'static {
    let queue = WorkQueue::new(context.clock.clone());
    let collector = Arc::new(Collector {
        context,
        graph: Mutex::default(),
        queue: queue.clone(),
        followed: Mutex::default(),
    });
    let branch = shutdown.clone();
    shutdown.spawn_until_stopped(async move {
        let kinds_changed = collector.follow_definitions(&branch);
        collector.follow(&branch).await;
        let first: Vec<Informer<Followed>> = {
            let followed = collector.followed.lock();
            followed.iter().map(|kind| kind.informer.clone()).collect()
        };
        for informer in first {
            if !informer.synced().await {
                return;
            }
        }
        // Only who has seen all may say that an owner is gone.
        for _ in 0..WORKERS {
            branch.spawn_until_stopped(collector.clone().work());
        }
        loop {
            kinds_changed.notified().await;
            collector.context.clock.sleep(SETTLE).await;
            collector.follow(&branch).await;
        }
    });
    move || queue.stats()
}

impl Collector {
    /// Tells when custom kinds may have come or gone.
    fn follow_definitions(&self, shutdown: &Shutdown) -> Arc<Notify> {
        let (group, version, plural) = DEFINITIONS;
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        // Its cache is not read; it lives as long as the branch.
        let _ = Informer::start(
            self.context.client.clone(),
            InformerConfig::all(GroupVersionResource::new(group, version, plural)),
            self.context.clock.clone(),
            shutdown,
            move |change: Change<Followed>| {
                if !matches!(change, Change::Synced) {
                    tell.notify_one();
                }
            },
        );
        changed
    }

    /// Follows every kind that can be owned, own and be deleted, and those no longer that are not
    /// served any more. Events are nobody's owners, and there are many.
    async fn follow(self: &Arc<Self>, shutdown: &Shutdown) {
        let mut backoff = Backoff::new(RETRY_DELAY_MIN, RETRY_DELAY_MAX, RETRY_DELAY_MAX);
        let clock = &self.context.clock;
        let served = loop {
            match discover(&self.context.client, Versions::Preferred).await {
                Ok(served) => break served,
                Err(error) => {
                    tracing::debug!(%error, "what is served cannot be told, trying again");
                    clock.sleep(backoff.failed(clock.instant())).await;
                }
            }
        };
        let collectable: Vec<ApiResource> = served
            .into_iter()
            .filter(|served| {
                served.resource.resource != "events"
                    && !served.is_view()
                    && ["list", "watch", "delete"].map(|v| served.has(v)) == [true; 3]
            })
            .collect();
        let mut followed = self.followed.lock();
        let gone = |kind: &FollowedKind| {
            let mut now = collectable.iter();
            !now.any(|served| served.resource == kind.served.resource)
        };
        for kind in followed.extract_if(.., |kind| gone(kind)) {
            kind.branch.stop();
            let look = self.graph.lock().remove_kind(&kind.served);
            for uid in look {
                self.queue.add(uid);
            }
        }
        for served in collectable {
            if followed
                .iter()
                .any(|kind| kind.served.resource == served.resource)
            {
                continue;
            }
            let served = Arc::new(served);
            let branch = shutdown.child();
            let (own, of) = (self.clone(), served.clone());
            let informer = Informer::start(
                self.context.client.clone(),
                InformerConfig::all(served.resource.clone()),
                clock.clone(),
                &branch,
                move |change| own.changed(&of, change),
            );
            let waiting = self.graph.lock().owned_by_kind(&served);
            followed.push(FollowedKind {
                served,
                informer,
                branch,
            });
            for uid in waiting {
                self.queue.add(uid);
            }
        }
    }

    fn changed(&self, served: &Arc<ApiResource>, change: Change<Followed>) {
        let look = match change {
            Change::Applied(object, before) => {
                let mut graph = self.graph.lock();
                let mut look = Vec::new();
                // One of the same name in the place of another: the other is gone.
                if let Some(before) = before.filter(|before| before.uid() != object.uid()) {
                    look = graph.remove(before.uid());
                }
                look.extend(graph.apply(object.uid(), object.node(served)));
                look
            }
            Change::Deleted(object) => self.graph.lock().remove(object.uid()),
            Change::Synced => return,
        };
        for uid in look {
            self.queue.add(uid);
        }
    }

    async fn work(self: Arc<Self>) {
        while let Some(uid) = self.queue.next().await {
            match self.reconcile(&uid).await {
                Ok(()) => self.queue.succeeded(&uid),
                Err(error) => {
                    if !error.is_conflict() {
                        tracing::warn!(%uid, %error, "garbage is not collected, trying again");
                    }
                    self.queue.add_failed(uid.clone());
                }
            }
            self.queue.done(&uid);
        }
    }

    async fn reconcile(&self, uid: &str) -> Result<(), ClientError> {
        let (node, unknown) = {
            let graph = self.graph.lock();
            let Some(node) = graph.get(uid) else {
                return Ok(());
            };
            let unknown: Vec<Owner> = unknown_owners(&graph, node).into_iter().cloned().collect();
            (node.clone(), unknown)
        };
        let mut asked = HashMap::new();
        for owner in unknown {
            let existence = self.existence(&node, &owner).await?;
            asked.insert(owner.uid, existence);
        }
        let existence = |owner: &Owner| asked.get(&owner.uid).copied().unwrap_or(Existence::Solid);
        let plan = plan(&self.graph.lock(), uid, existence);
        self.carry_out(uid, &node, plan).await
    }

    /// Asks the server for an owner.
    async fn existence(&self, node: &Node, owner: &Owner) -> Result<Existence, ClientError> {
        let (group, _) = owner.api_version.rsplit_once('/').unwrap_or_default();
        let group = stored_group(&owner.api_version, &owner.kind).unwrap_or(group);
        let served = {
            let followed = self.followed.lock();
            let mut kinds = followed.iter().map(|kind| &kind.served);
            kinds
                .find(|served| served.kind == owner.kind && served.resource.group == group)
                .cloned()
        };
        let Some(served) = served else {
            return Ok(Existence::Solid);
        };
        let namespace = match served.namespaced {
            true if node.key.namespace.is_empty() => {
                tracing::warn!(object = %node.key, owner = owner.name,
                    "an object of the cluster cannot be owned by one of a namespace");
                return Ok(Existence::Solid);
            }
            true => node.key.namespace.as_str(),
            false => "",
        };
        let client = &self.context.client;
        match read(client, &served, namespace, &owner.name).await? {
            Some(found) if found.uid() == owner.uid => Ok(Existence::Solid),
            _ => Ok(Existence::Absent),
        }
    }

    async fn carry_out(&self, uid: &str, node: &Node, plan: Plan) -> Result<(), ClientError> {
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Look(uids) => {
                for uid in uids {
                    self.queue.add(uid);
                }
                Ok(())
            }
            Plan::Release(finalizer) => self.release(uid, node, finalizer).await,
            Plan::Orphan(dependents) => {
                for dependent in dependents {
                    let node = self.graph.lock().get(&dependent).cloned();
                    if let Some(node) = node {
                        let drop = |owners: &mut Vec<Value>| owners.retain(|own| !is(own, uid));
                        self.rewrite_owners(&dependent, &node, drop).await?;
                    }
                }
                self.release(uid, node, graph::ORPHAN).await
            }
            Plan::Disown(gone) => {
                let drop = |owners: &mut Vec<Value>| {
                    owners.retain(|own| !gone.iter().any(|uid| is(own, uid)));
                };
                self.rewrite_owners(uid, node, drop).await
            }
            Plan::Delete {
                propagation,
                unblock,
            } => {
                if unblock {
                    self.rewrite_owners(uid, node, unblock_all).await?;
                }
                self.delete(uid, node, propagation).await
            }
        }
    }

    async fn delete(&self, uid: &str, node: &Node, propagation: &str) -> Result<(), ClientError> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        });
        let (namespace, name) = (&node.key.namespace, &node.key.name);
        let client = &self.context.client;
        let deleted = client.delete(&node.served.resource, namespace, name, &options);
        match deleted.await {
            Err(error) if error.is_not_found() => Ok(()),
            // Another of the same name: this one is gone.
            Err(error) if error.is_conflict() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn release(&self, uid: &str, node: &Node, finalizer: &str) -> Result<(), ClientError> {
        let Some(object) = self.current(uid, node).await? else {
            return Ok(());
        };
        if !object.finalizers().any(|own| own == finalizer) {
            return Ok(());
        }
        let left: Vec<&str> = object
            .finalizers()
            .filter(|own| *own != finalizer)
            .collect();
        self.patch(node, &object, "finalizers", json!(left)).await
    }

    async fn rewrite_owners(
        &self,
        uid: &str,
        node: &Node,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> Result<(), ClientError> {
        let Some(object) = self.current(uid, node).await? else {
            return Ok(());
        };
        let present = object.get(&["metadata", "ownerReferences"]);
        let mut owners = present
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let before = owners.clone();
        change(&mut owners);
        if owners == before {
            return Ok(());
        }
        self.patch(node, &object, "ownerReferences", json!(owners))
            .await
    }

    /// The object as it is now, if it is still the one.
    async fn current(&self, uid: &str, node: &Node) -> Result<Option<Object>, ClientError> {
        let (namespace, name) = (&node.key.namespace, &node.key.name);
        let found = read(&self.context.client, &node.served, namespace, name).await?;
        Ok(found.filter(|object| object.uid() == uid))
    }

    /// Writes a list of the metadata, if nobody has written the object meanwhile.
    async fn patch(
        &self,
        node: &Node,
        object: &Object,
        field: &str,
        list: Value,
    ) -> Result<(), ClientError> {
        let patch = json!({"metadata": {
            "resourceVersion": object.resource_version(),
            "uid": object.uid(),
            field: list,
        }});
        let at = (node.key.namespace.as_str(), node.key.name.as_str());
        let client = &self.context.client;
        let patched =
            client.patch::<IgnoredAny>(&node.served.resource, at, "", PatchKind::Merge, &patch);
        match patched.await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

fn is(owner: &Value, uid: &str) -> bool {
    owner.get("uid").and_then(Value::as_str) == Some(uid)
}

fn unblock_all(owners: &mut Vec<Value>) {
    for owner in owners {
        if let Some(owner) = owner
            .as_object_mut()
            .filter(|o| o.contains_key("blockOwnerDeletion"))
        {
            owner.insert("blockOwnerDeletion".to_owned(), json!(false));
        }
    }
}

async fn read(
    client: &Client,
    served: &ApiResource,
    namespace: &str,
    name: &str,
) -> Result<Option<Object>, ClientError> {
    match client.get::<Value>(&served.resource, namespace, name).await {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
