//! deployment-controller: a ReplicaSet for each template, and the walk from one to the next.
//! What is to be done is decided in `plan`; here it is read and carried out.
//! Kubernetes: `pkg/controller/deployment`.

mod plan;
mod progress;
mod revision;
#[cfg(test)]
mod tests;
mod view;

use super::claim::claim;
use super::replica_set::REPLICA_SET;
use super::{Flavor, Written, number};
use crate::client::{ClientError, EventType};
use crate::controllers::def::{Caches, Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, concern, selector_of};
use crate::meta::{Object, ObjectKey, Reason};
use futures::FutureExt;
use plan::Step;
use serde_json::{Value, json};
use std::sync::Arc;
use view::{Deployment, Set, View};

/// Steps of one turn; a Deployment that needs more comes again at once, after others.
const STEPS_MAX: usize = 16;

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "deployment-controller",
    account: Some("deployment-controller"),
    watches: &[Watched {
        resource: DEPLOYMENT.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = caches.selectors.deployments.clone();
        concern(
            &caches.replica_sets,
            selectors,
            DEPLOYMENT.kind,
            queue.clone(),
        );
        // The last old pod is gone: a Recreate waits for it.
        let all = Arc::downgrade(caches);
        caches.pods.listen(move |before, now| {
            if let (Some(pod), None, Some(caches)) = (before, now, all.upgrade())
                && let Some(key) = deployment_of(&caches, pod)
            {
                queue.add(key);
            }
        });
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// How a Deployment is called.
const DEPLOYMENT: Flavor = Flavor {
    resource: ("apps", "v1", "deployments"),
    api_version: "apps/v1",
    kind: "Deployment",
};

fn deployment_of(caches: &Caches, pod: &Member) -> Option<ObjectKey> {
    let owner = pod
        .owner
        .as_ref()
        .filter(|owner| &*owner.kind == REPLICA_SET.kind)?;
    let namespace = pod.key.namespace.as_str();
    let set = caches
        .replica_sets
        .get(&ObjectKey::new(namespace, &*owner.name))?;
    let owner = set
        .owner
        .as_ref()
        .filter(|owner| &*owner.kind == DEPLOYMENT.kind)?;
    Some(ObjectKey::new(namespace, &*owner.name))
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    for _ in 0..STEPS_MAX {
        let Some(object) = DEPLOYMENT.read(&context, &key).await? else {
            return Ok(Next::Wait);
        };
        let Some(view) = look(&context, object).await? else {
            return Ok(Next::Wait);
        };
        let step = plan::next(&view, context.clock.now());
        let ends = match &step {
            Step::Rest(next) => return Ok(next.map_or(Next::Wait, Next::After)),
            Step::Status(_, last) => *last,
            _ => false,
        };
        carry_out(&context, &view, step).await?;
        if ends {
            // The written status comes back as a change, which is looked at again.
            return Ok(Next::Wait);
        }
    }
    Ok(Next::After(std::time::Duration::from_millis(1)))
}

/// The Deployment with its ReplicaSets, after adoption and release; none if it selects nothing.
async fn look(context: &Context, object: Object) -> Result<Option<View>, ClientError> {
    let Some(selector) = selector_of(&object) else {
        return Ok(None);
    };
    let members = (&context.caches.replica_sets, &REPLICA_SET.gvr());
    let own = claim(context, (&DEPLOYMENT, &object), members, &selector, |_| {
        true
    })
    .await?;
    let mut sets = Vec::with_capacity(own.len());
    for member in &own {
        if let Some(set) = REPLICA_SET.read(context, &member.key).await? {
            sets.push(Set::new(set));
        }
    }
    let mut view = View::new(Deployment::new(object), sets);
    let new = view.new.as_ref().map(|new| new.object.uid());
    view.old_pods_run = own
        .iter()
        .filter(|member| Some(&*member.uid) != new)
        .flat_map(|member| context.caches.pods.owned_by(&member.uid))
        .any(|pod| !pod.pod.ended());
    Ok(Some(view))
}

async fn carry_out(context: &Context, view: &View, step: Step) -> Result<(), ClientError> {
    let deployment = &view.deployment;
    let about = DEPLOYMENT.reference(&deployment.object);
    let tell = |kind, reason: &str, message| context.events.event(&about, kind, reason, message);
    match step {
        Step::Rest(_) => Ok(()),
        Step::Status(object, _) => write_status(context, object).await,
        Step::Create(set) => create(context, deployment, set).await,
        Step::Update(changes) => {
            for (set, message) in changes {
                write_set(context, set).await?;
                if let Some(message) = message {
                    tell(EventType::Normal, "ScalingReplicaSet", message);
                }
            }
            Ok(())
        }
        Step::Delete(doomed) => delete(context, doomed).await,
        Step::Rollback(object, (reason, message, warning)) => {
            let kind = if warning {
                EventType::Warning
            } else {
                EventType::Normal
            };
            let (gvr, key) = (DEPLOYMENT.gvr(), object.key());
            let body = object.into_value();
            let updated =
                context
                    .client
                    .update::<Value>(&gvr, &key.namespace, &key.name, "", &body);
            updated.await?;
            tell(kind, reason, message);
            Ok(())
        }
    }
}

async fn write_status(context: &Context, object: Object) -> Result<(), ClientError> {
    let (gvr, key) = (DEPLOYMENT.gvr(), object.key());
    let body = object.into_value();
    let updated = context
        .client
        .update::<Value>(&gvr, &key.namespace, &key.name, "status", &body);
    match updated.await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Waits until a written ReplicaSet stands in the members.
async fn settle(context: &Context, written: &Written) {
    let members = &context.caches.replica_sets;
    members.progress().reached(written.revision()).await;
}

async fn write_set(context: &Context, set: Object) -> Result<(), ClientError> {
    let (gvr, key) = (REPLICA_SET.gvr(), set.key());
    let body = set.into_value();
    let updated = context
        .client
        .update::<Written>(&gvr, &key.namespace, &key.name, "", &body);
    settle(context, &updated.await?).await;
    Ok(())
}

async fn delete(context: &Context, doomed: Vec<Object>) -> Result<(), ClientError> {
    let gvr = REPLICA_SET.gvr();
    let mut going = Vec::new();
    for set in doomed {
        let key = set.key();
        let options = json!({"preconditions": {"uid": set.uid()}});
        let deleted = context
            .client
            .delete(&gvr, &key.namespace, &key.name, &options);
        match deleted.await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => going.extend(context.caches.replica_sets.get(&key)),
        }
    }
    context.caches.replica_sets.going(&going).await;
    Ok(())
}

async fn create(
    context: &Context,
    deployment: &Deployment,
    set: Object,
) -> Result<(), ClientError> {
    let (gvr, key) = (REPLICA_SET.gvr(), set.key());
    let replicas = number(&set, &["spec", "replicas"]);
    let said = plan::created(deployment, &set, context.clock.now());
    let body = set.into_value();
    let created = context
        .client
        .create::<Written>(&gvr, &key.namespace, None, &body);
    let about = DEPLOYMENT.reference(&deployment.object);
    let error = match created.await {
        Ok(written) => {
            settle(context, &written).await;
            if replicas > 0 {
                let name = &key.name;
                let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                let kind = EventType::Normal;
                context
                    .events
                    .event(&about, kind, "ScalingReplicaSet", message);
            }
            return match said {
                Some(object) => write_status(context, object).await,
                None => Ok(()),
            };
        }
        Err(error) => error,
    };
    match &error {
        ClientError::Api(refused) if refused.reason == Reason::AlreadyExists => {
            let existing = REPLICA_SET.read(context, &key).await?.map(Set::new);
            let own = existing.is_some_and(|existing| {
                let owned = context.caches.replica_sets.get(&key);
                let owner = owned.and_then(|owned| owned.owner.clone());
                owner.is_some_and(|owner| *owner.uid == *deployment.object.uid())
                    && existing.has_template_of(deployment)
            });
            // Made by an earlier turn whose answer did not come: the next look finds it.
            if own {
                return Err(error);
            }
            write_status(context, plan::collided(deployment)).await
        }
        ClientError::Api(refused) if refused.has_cause("NamespaceTerminating") => Ok(()),
        _ => {
            let name = &key.name;
            let message = format!("Failed to create new replica set \"{name}\": {error}");
            let now = context.clock.now();
            if let Some(object) = plan::create_failed(deployment, &message, now) {
                write_status(context, object).await?;
            }
            let kind = EventType::Warning;
            context
                .events
                .event(&about, kind, "ReplicaSetCreateError", message);
            Err(error)
        }
    }
}
