//! statefulset-controller: numbered pods, each with a name and claims of its own, made and renewed
//! in order. What is to be done is decided in `plan`; here it is read and carried out.
//! Kubernetes: `pkg/controller/statefulset`.

mod control;
mod identity;
mod plan;
#[cfg(test)]
mod tests;

use super::claim::claim;
use super::history::{self, History, Revision};
use super::{Flavor, pod_control};
use crate::client::ClientError;
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, concern, selector_of};
use crate::meta::{Object, ObjectKey};
use futures::FutureExt;
use plan::{Act, View};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// How soon a pod is tried again whose name still has claims that are on their way out.
const STALE_CLAIM_WAIT: Duration = Duration::from_secs(1);

/// The row.
pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "statefulset-controller",
    account: Some("statefulset-controller"),
    watches: &[Watched {
        resource: STATEFUL_SET.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = || caches.selectors.stateful_sets.clone();
        concern(&caches.pods, selectors(), STATEFUL_SET.kind, queue.clone());
        concern(&caches.revisions, selectors(), STATEFUL_SET.kind, queue);
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// How a StatefulSet is called.
const STATEFUL_SET: Flavor = Flavor {
    resource: ("apps", "v1", "statefulsets"),
    api_version: "apps/v1",
    kind: "StatefulSet",
};

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let Some(set) = STATEFUL_SET.read(&context, &key).await? else {
        return Ok(Next::Wait);
    };
    let Some(selector) = selector_of(&set) else {
        return Ok(Next::Wait);
    };
    let members = (&context.caches.pods, &pod_control::pods());
    let is_own = |pod: &Member| identity::ordinal(set.name(), &pod.key.name).is_some();
    let pods = claim(&context, (&STATEFUL_SET, &set), members, &selector, is_own).await?;
    let history = history::sync(&context, (&STATEFUL_SET, &set), history::HASH_LABEL).await?;
    let Some(update) = history.newest() else {
        return Ok(Next::Wait);
    };
    let named = set.str_at(&["status", "currentRevision"]);
    let current = history.revisions.iter().find(|one| one.name() == named);
    let current = current.unwrap_or(update);
    let plan = plan::plan(&View {
        set: &set,
        pods: &pods,
        current: current.name(),
        update: update.name(),
        collisions: history.collisions,
        now: context.clock.now(),
    });
    let outcome = carry_out(&context, &set, (current, update), &plan.acts).await;
    write_status(&context, &set, plan.status).await?;
    let stale = outcome?;
    truncate(&context, &set, &history, (current, &pods)).await?;
    let soon = stale.then_some(STALE_CLAIM_WAIT);
    let next = plan.next_available.into_iter().chain(soon).min();
    Ok(next.map_or(Next::Wait, Next::After))
}

/// Does what is planned, one after the other; pods that may come or go at once do so, one, then two,
/// four, eight at a time. Answers whether a pod waits for claims that are on their way out.
async fn carry_out(
    context: &Context,
    set: &Object,
    (current, update): (&Revision, &Revision),
    acts: &[Act],
) -> Result<bool, ClientError> {
    let mut left = acts;
    let mut batch = 1;
    let mut stale = false;
    while !left.is_empty() {
        let (now, later) = left.split_at(batch.min(left.len()));
        let done = now
            .iter()
            .map(|act| one(context, set, (current, update), act));
        let mut outcome = Ok(());
        let mut newest = 0;
        let mut going = Vec::new();
        for done in futures::future::join_all(done).await {
            match done {
                Ok(Done::Written(revision)) => newest = revision.max(newest),
                Ok(Done::Going(pod)) => going.push(pod),
                Ok(Done::Stale) => stale = true,
                Err(error) => outcome = Err(error),
            }
        }
        context.caches.pods.going(&going).await;
        pod_control::catch_up(context, newest, &outcome).await?;
        outcome?;
        left = later;
        batch *= 2;
    }
    Ok(stale)
}

/// What came of an act.
enum Done {
    /// A pod was written at this revision; 0 if none.
    Written(u64),
    /// A pod is on its way out.
    Going(Arc<Member>),
    /// A pod's claims are on their way out: it is not made yet.
    Stale,
}

async fn one(
    context: &Context,
    set: &Object,
    (current, update): (&Revision, &Revision),
    act: &Act,
) -> Result<Done, ClientError> {
    match act {
        Act::Create { ordinal, updated } => {
            let revision = if *updated { update } else { current };
            let (template, name) = (revision.template(), revision.name());
            let pod = identity::pod((&STATEFUL_SET, set), &template, name, *ordinal);
            control::create(context, set, *ordinal, pod).await
        }
        Act::Recreate(pod) => {
            control::tell_recreated(context, set, pod);
            control::delete(context, set, pod).await
        }
        Act::Delete(pod) => control::delete(context, set, pod).await,
        Act::Claims(ordinal, pod) => {
            let pod = (&*pod.key.name, &*pod.uid);
            control::claims(context, set, *ordinal, pod).await?;
            Ok(Done::Written(0))
        }
        Act::Identity(ordinal, pod) => control::identity(context, set, *ordinal, pod).await,
    }
}

/// Writes the status, if it says something else.
async fn write_status(
    context: &Context,
    set: &Object,
    status: Map<String, Value>,
) -> Result<(), ClientError> {
    let status = Value::Object(status);
    if set.get(&["status"]) == Some(&status) {
        return Ok(());
    }
    let mut changed = set.clone();
    changed.set(&["status"], status);
    let (gvr, key, body) = (STATEFUL_SET.gvr(), set.key(), changed.into_value());
    let (client, namespace, name) = (&context.client, &key.namespace, &key.name);
    let updated = client.update::<Value>(&gvr, namespace, name, "status", &body);
    match updated.await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Deletes the oldest revisions over the limit that nobody uses.
async fn truncate(
    context: &Context,
    set: &Object,
    history: &History,
    (current, pods): (&Revision, &[Arc<Member>]),
) -> Result<(), ClientError> {
    if set.deletion_timestamp().is_some() {
        return Ok(());
    }
    let newest = history.newest().map(Revision::name);
    let is_live = |one: &&Revision| {
        let name = Some(one.name());
        let mut of_pods = pods.iter().map(|pod| pod.label(history::REVISION_LABEL));
        name == newest || name == Some(current.name()) || of_pods.any(|of| of == name)
    };
    let old: Vec<&Revision> = history
        .revisions
        .iter()
        .filter(|one| !is_live(one))
        .collect();
    let surplus = old.len().saturating_sub(history::limit(set));
    history::delete(context, old.get(..surplus).unwrap_or_default()).await
}
