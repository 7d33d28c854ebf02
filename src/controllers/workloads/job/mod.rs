//! job-controller: pods until enough of them have succeeded, or too many have failed. What is done is
//! decided in `plan`, what is written in `track`; here it is read and carried out.
//! Kubernetes: `pkg/controller/job`.

mod backoff;
mod failure_policy;
mod indexes;
mod orphans;
mod plan;
mod pods;
#[cfg(test)]
mod tests;
mod track;
mod ttl;
mod view;

pub(crate) use backoff::Memory;
pub(crate) use orphans::CONTROLLER as ORPHANS;
pub(crate) use ttl::CONTROLLER as TTL;

use super::claim::claim;
use super::{Flavor, conditions, pod_control};
use crate::client::{ClientError, EventType};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, concern, selector_of};
use crate::meta::{Object, ObjectKey};
use futures::FutureExt;
use plan::{Act, COMPLETE, FAILED};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use track::{Done, Tracked};
use view::View;

/// Who manages a Job that names nobody else. Kubernetes: JobControllerName.
const MANAGER: &str = "kubernetes.io/job-controller";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "job-controller",
    account: Some("job-controller"),
    watches: &[Watched {
        resource: JOB.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = caches.selectors.jobs.clone();
        concern(&caches.pods, selectors, JOB.kind, queue);
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// How a Job is called.
pub(crate) const JOB: Flavor = Flavor {
    resource: ("batch", "v1", "jobs"),
    api_version: "batch/v1",
    kind: "Job",
};

/// How a Job has ended: the condition that holds.
pub(crate) fn ended(job: &Object) -> Option<Value> {
    let list = conditions::of(job);
    let ends = |one: &Value| {
        matches!(conditions::text(one, "type"), COMPLETE | FAILED)
            && conditions::text(one, "status") == "True"
    };
    list.into_iter().find(ends)
}

/// Whether somebody else manages it.
fn is_foreign(job: &Object) -> bool {
    !matches!(job.str_at(&["spec", "managedBy"]), "" | MANAGER)
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let memory = &context.caches.job_failures;
    let job = JOB.read(&context, &key).await?;
    let Some(job) = job.filter(|job| !is_foreign(job) && ended(job).is_none()) else {
        memory.forget(&key);
        return Ok(Next::Wait);
    };
    let Some(selector) = selector_of(&job) else {
        return Ok(Next::Wait);
    };
    let members = (&context.caches.pods, &pod_control::pods());
    let pods = claim(&context, (&JOB, &job), members, &selector, |_| true).await?;
    let failures = memory.of(&key, job.uid());
    let view = View::new(&job, pods, failures);
    let now = context.clock.now();
    let decision = plan::decide(&view, now);
    let next = decision.next;
    let (done, outcome) = carry_out(&context, &view, &decision.act).await;
    let tracked = track::track(&view, decision, done, now);
    let removed = write(&context, &view, tracked).await?;
    outcome.and(removed)?;
    Ok(next.map_or(Next::Wait, Next::After))
}

/// Makes or deletes pods; answers how many there are then.
async fn carry_out(
    context: &Context,
    view: &View<'_>,
    act: &Act,
) -> (Done, Result<(), ClientError>) {
    let owner = (&JOB, view.job);
    let mut done = Done {
        active: view.active.len(),
        ready: view.ready,
        terminating: view.terminating,
        whole: true,
    };
    let (doomed, quiet) = match act {
        Act::Nothing => return (done, Ok(())),
        Act::Create(indexes) => {
            let template = pods::template(view.job);
            let pod = |place: usize| {
                let index = indexes.get(place).copied().flatten();
                Cow::Owned(pods::pod(view, &template, index))
            };
            let (made, outcome) = pod_control::make_each(context, owner, indexes.len(), pod).await;
            done.active += made;
            return (done, outcome);
        }
        Act::Delete(doomed) => (doomed, true),
        Act::End(doomed) => (doomed, false),
    };
    let (mut released, mut outcome) = (doomed.clone(), Ok(()));
    if quiet {
        // What the Job itself takes away is no failure of it.
        (released, outcome) = pods::untrack(context, doomed).await;
    }
    let (going, deleted) = pod_control::delete_each(context, owner, &released).await;
    outcome = outcome.and(deleted);
    let ready = going.iter().filter(|pod| pod.pod.ready.is_some()).count();
    done.active -= going.len().min(done.active);
    done.terminating += going.iter().filter(|pod| still_there(context, pod)).count();
    done.ready -= ready.min(done.ready);
    done.whole = going.len() == doomed.len();
    (done, outcome)
}

/// Whether a pod that goes is not yet gone: one that no node had begun with goes at once.
fn still_there(context: &Context, pod: &Member) -> bool {
    let now = context.caches.pods.get(&pod.key);
    now.is_some_and(|now| now.uid == pod.uid && !now.pod.ended())
}

/// Writes the status, takes the finalizers, and writes what is counted then. The first error is of a
/// status that was not written, the second of finalizers that were not taken.
async fn write(
    context: &Context,
    view: &View<'_>,
    mut tracked: Tracked,
) -> Result<Result<(), ClientError>, ClientError> {
    let Some(mut job) = write_status(context, view.job, &tracked).await? else {
        return Ok(Ok(()));
    };
    let about = JOB.reference(view.job);
    for (kind, reason, message) in &tracked.events {
        context.events.event(&about, *kind, reason, *message);
    }
    let memory = &context.caches.job_failures;
    memory.set(&view.job.key(), view.job.uid(), view.failures);
    let (removed, outcome) = pods::untrack(context, &tracked.counted).await;
    let removed: HashSet<&str> = removed.iter().map(|pod| &*pod.uid).collect();
    let stays = |pod: &&Arc<Member>| view::facts(pod).tracked && !removed.contains(&*pod.uid);
    let stay: HashSet<&str> = view
        .pods
        .iter()
        .filter(stays)
        .map(|pod| &*pod.uid)
        .collect();
    if let Some(Value::Object(status)) = job.get(&["status"]) {
        tracked.status = status.clone();
    }
    track::settle(&mut tracked.status, |uid| stay.contains(uid));
    let ended = outcome.is_ok() && track::enact(&mut tracked, context.clock.now());
    let Some(written) = write_status(context, &job, &tracked).await? else {
        return Ok(outcome);
    };
    job = written;
    if ended {
        memory.forget(&job.key());
        tell_end(context, &job, &tracked);
    }
    Ok(outcome)
}

/// Writes the status, if it is another; answers the Job as it is then, none if it is gone.
async fn write_status(
    context: &Context,
    job: &Object,
    tracked: &Tracked,
) -> Result<Option<Object>, ClientError> {
    let status = Value::Object(tracked.status.clone());
    if job.get(&["status"]) == Some(&status) {
        return Ok(Some(job.clone()));
    }
    let (gvr, key) = (JOB.gvr(), job.key());
    let mut changed = job.clone();
    changed.set(&["status"], status);
    let body = changed.into_value();
    let updated = context
        .client
        .update::<Value>(&gvr, &key.namespace, &key.name, "status", &body);
    match updated.await {
        Ok(written) => Ok(Object::from_value(written)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn tell_end(context: &Context, job: &Object, tracked: &Tracked) {
    let Some(finish) = &tracked.finish else {
        return;
    };
    let about = JOB.reference(job);
    let tell = |kind, reason: &str, message: &str| {
        context.events.event(&about, kind, reason, message);
    };
    if finish.kind != COMPLETE {
        tell(EventType::Warning, &finish.reason, &finish.message);
        return;
    }
    let wanted = job.get(&["spec", "completions"]).and_then(Value::as_i64);
    if wanted.is_some_and(|wanted| super::number(job, &["status", "succeeded"]) > wanted) {
        let message = "Too many succeeded pods running after completion count reached";
        tell(EventType::Warning, "TooManySucceededPods", message);
    }
    tell(EventType::Normal, "Completed", "Job completed");
}
