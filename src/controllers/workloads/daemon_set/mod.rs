//! daemonset-controller: one pod on each node that may run it. What is to be done is decided in
//! `plan`; here it is read and carried out.
//! Kubernetes: `pkg/controller/daemon`.

mod delays;
mod place;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use delays::Delays;

use super::claim::claim;
use super::history::{self, History, Revision};
use super::{Flavor, pod_control};
use crate::client::{ClientError, EventType, WorkQueue};
use crate::controllers::def::{Caches, Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, Phase, concern, selector_of};
use crate::meta::{Object, ObjectKey};
use futures::FutureExt;
use place::{Cast, Placement};
use plan::{Plan, View};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// The row.
pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "daemonset-controller",
    account: Some("daemon-set-controller"),
    watches: &[Watched {
        resource: DAEMON_SET.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = || caches.selectors.daemon_sets.clone();
        concern(&caches.pods, selectors(), DAEMON_SET.kind, queue.clone());
        concern(
            &caches.revisions,
            selectors(),
            DAEMON_SET.kind,
            queue.clone(),
        );
        follow_nodes(caches, queue);
    }),
    workers: 2,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// How a DaemonSet is called.
const DAEMON_SET: Flavor = Flavor {
    resource: ("apps", "v1", "daemonsets"),
    api_version: "apps/v1",
    kind: "DaemonSet",
};

/// A node that comes, goes, or says something else of itself concerns every DaemonSet.
fn follow_nodes(caches: &Caches, queue: WorkQueue<ObjectKey>) {
    let selectors = caches.selectors.daemon_sets.clone();
    caches.nodes.listen(move |before, now| {
        let says = |node: &Member| (node.labels.clone(), node.taints.clone());
        if before.map(says) != now.map(says) {
            selectors.all().into_iter().for_each(|key| queue.add(key));
        }
    });
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let Some(daemons) = DAEMON_SET.read(&context, &key).await? else {
        return Ok(Next::Wait);
    };
    let Some(selector) = selector_of(&daemons) else {
        return Ok(Next::Wait);
    };
    if daemons.deletion_timestamp().is_some() {
        return Ok(Next::Wait);
    }
    let history = history::sync(&context, (&DAEMON_SET, &daemons), history::REVISION_LABEL).await?;
    let Some(newest) = history.newest() else {
        return Ok(Next::Wait);
    };
    let members = (&context.caches.pods, &pod_control::pods());
    let pods = claim(
        &context,
        (&DAEMON_SET, &daemons),
        members,
        &selector,
        |_| true,
    )
    .await?;
    let view = View {
        daemons: &daemons,
        placement: &Placement::new(&daemons),
        nodes: &context.caches.nodes.strays(""),
        pods: plan::by_node(pods.clone()),
        hash: newest.hash(),
        collisions: history.collisions,
        now: context.clock.now(),
    };
    let delays = &context.caches.daemon_delays;
    let plan = plan::plan(&view, |node| delays.wait(daemons.uid(), node, view.now));
    let outcome = carry_out(&context, &daemons, newest.hash(), &plan).await;
    write_status(&context, &daemons, plan.status).await?;
    outcome?;
    truncate(&context, &daemons, &history, &pods).await?;
    Ok(plan.again.map_or(Next::Wait, Next::After))
}

async fn carry_out(
    context: &Context,
    daemons: &Object,
    hash: &str,
    plan: &Plan,
) -> Result<(), ClientError> {
    let about = DAEMON_SET.reference(daemons);
    for (pod, node) in &plan.ended {
        let (kind, reason, what, verb) = match pod.pod.phase {
            Phase::Failed => (EventType::Warning, "FailedDaemonPod", "failed", "kill"),
            _ => (
                EventType::Normal,
                "SucceededDaemonPod",
                "succeeded",
                "delete",
            ),
        };
        let (namespace, name) = (&pod.key.namespace, &pod.key.name);
        let message = format!(
            "Found {what} daemon pod {namespace}/{name} on node {node}, will try to {verb} it"
        );
        context.events.event(&about, kind, reason, message);
    }
    let owner = (&DAEMON_SET, daemons);
    if !plan.create.is_empty() {
        let cast = Cast::new(owner, hash);
        let pod = |index: usize| {
            let node = plan.create.get(index).map(|node| &**node);
            Cow::Owned(cast.pinned_to(node.unwrap_or_default()))
        };
        pod_control::make(context, owner, pod, plan.create.len()).await?;
    }
    if !plan.delete.is_empty() {
        pod_control::delete(context, owner, &plan.delete).await?;
    }
    Ok(())
}

/// Writes the status, if it says something else.
async fn write_status(
    context: &Context,
    daemons: &Object,
    status: Map<String, Value>,
) -> Result<(), ClientError> {
    let status = Value::Object(status);
    if daemons.get(&["status"]) == Some(&status) {
        return Ok(());
    }
    let mut changed = daemons.clone();
    changed.set(&["status"], status);
    let (gvr, key, body) = (DAEMON_SET.gvr(), daemons.key(), changed.into_value());
    let (client, namespace, name) = (&context.client, &key.namespace, &key.name);
    let updated = client.update::<Value>(&gvr, namespace, name, "status", &body);
    match updated.await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Deletes the oldest revisions over the limit that no pod has.
async fn truncate(
    context: &Context,
    daemons: &Object,
    history: &History,
    pods: &[Arc<Member>],
) -> Result<(), ClientError> {
    let Some((_, old)) = history.revisions.split_last() else {
        return Ok(());
    };
    let surplus = old.len().saturating_sub(history::limit(daemons));
    let is_live = |one: &&Revision| {
        let mut of_pods = pods.iter().map(|pod| pod.label(history::REVISION_LABEL));
        of_pods.any(|of| of == Some(one.hash()))
    };
    let doomed: Vec<&Revision> = old
        .iter()
        .filter(|one| !is_live(one))
        .take(surplus)
        .collect();
    history::delete(context, &doomed).await
}
