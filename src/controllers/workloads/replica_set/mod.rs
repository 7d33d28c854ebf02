//! replicaset-controller and replication-controller: as many pods as are wanted, of one template.
//! One file does both: a ReplicationController is a ReplicaSet with a plainer selector.
//! Kubernetes: `pkg/controller/replicaset`, `pkg/controller/replication`.

mod plan;
pub(super) mod rank;

use super::claim::claim;
use super::{Flavor, pod_control};
use crate::client::ClientError;
use crate::controllers::def::{Caches, Context, ControllerDef, Next, Watched};
use crate::controllers::members::{Member, concern, selector_of};
use crate::meta::{Object, ObjectKey};
use futures::FutureExt;
use plan::{Act, Counted};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// ReplicaSets.
pub(crate) static REPLICA_SETS: ControllerDef = ControllerDef {
    name: "replicaset-controller",
    account: Some("replicaset-controller"),
    watches: &[Watched {
        resource: REPLICA_SET.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = caches.selectors.replica_sets.clone();
        concern(&caches.pods, selectors, REPLICA_SET.kind, queue);
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key, &REPLICA_SET).boxed(),
};

/// ReplicationControllers.
pub(crate) static REPLICATION_CONTROLLERS: ControllerDef = ControllerDef {
    name: "replicationcontroller-controller",
    account: Some("replication-controller"),
    watches: &[Watched {
        resource: REPLICATION_CONTROLLER.resource,
        fields: "",
        key: |object| Some(object.key()),
    }],
    listen: Some(|caches, queue| {
        let selectors = caches.selectors.replication_controllers.clone();
        concern(&caches.pods, selectors, REPLICATION_CONTROLLER.kind, queue);
    }),
    workers: 5,
    reconcile: |context, key| reconcile(context, key, &REPLICATION_CONTROLLER).boxed(),
};

/// How a ReplicaSet is called.
pub(super) const REPLICA_SET: Flavor = Flavor {
    resource: ("apps", "v1", "replicasets"),
    api_version: "apps/v1",
    kind: "ReplicaSet",
};

const REPLICATION_CONTROLLER: Flavor = Flavor {
    resource: ("", "v1", "replicationcontrollers"),
    api_version: "v1",
    kind: "ReplicationController",
};

async fn reconcile(
    context: Context,
    key: ObjectKey,
    flavor: &'static Flavor,
) -> Result<Next, ClientError> {
    let Some(set) = flavor.read(&context, &key).await? else {
        return Ok(Next::Wait);
    };
    let Some(selector) = selector_of(&set) else {
        return Ok(Next::Wait);
    };
    let members = (&context.caches.pods, &pod_control::pods());
    let pods = claim(&context, (flavor, &set), members, &selector, |pod| {
        !pod.pod.ended()
    });
    let pods = pods.await?;
    let (going, active): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| pod.deleting);
    let now = context.clock.now();
    let act = if set.deletion_timestamp().is_some() {
        Act::Nothing
    } else {
        plan::act(&set, &active, || related(&context.caches, &set), now)
    };
    let outcome = carry_out(&context, (flavor, &set), &act).await;
    let counted = Counted::new(&set, &active, going.len(), now);
    let failure = outcome.as_ref().err().map(ToString::to_string);
    if let Some(status) = plan::status(&set, &counted, &act, failure.as_deref(), now) {
        let mut changed = set.clone();
        changed.set(&["status"], status);
        let body = changed.into_value();
        let (client, gvr) = (&context.client, flavor.gvr());
        let updated = client.update::<Value>(&gvr, &key.namespace, &key.name, "status", &body);
        match updated.await {
            // It is gone: there is nothing to be told of it.
            Err(error) if error.is_not_found() => return Ok(Next::Wait),
            other => other.map(|_| ())?,
        }
    }
    outcome?;
    Ok(counted.next_available.map_or(Next::Wait, Next::After))
}

/// The pods of all ReplicaSets of the same Deployment: where they are many, one goes first.
fn related(caches: &Caches, set: &Object) -> Vec<Arc<Member>> {
    let own = caches.replica_sets.get(&set.key());
    let Some(owner) = own.and_then(|own| own.owner.clone()) else {
        return caches.pods.owned_by(set.uid());
    };
    let siblings = caches.replica_sets.owned_by(&owner.uid);
    let pods = siblings
        .iter()
        .map(|sibling| caches.pods.owned_by(&sibling.uid));
    pods.flatten().collect()
}

async fn carry_out(
    context: &Context,
    (flavor, set): (&Flavor, &Object),
    act: &Act,
) -> Result<(), ClientError> {
    match act {
        Act::Nothing => Ok(()),
        Act::Create(count) => {
            let template = set.get(&["spec", "template"]).cloned().unwrap_or(json!({}));
            let reference = flavor.owner_reference(set);
            let pod = pod_control::pod_of_template(&template, set, reference);
            let each = |_| Cow::Borrowed(&pod);
            pod_control::make(context, (flavor, set), each, *count).await
        }
        Act::Delete(doomed) => pod_control::delete(context, (flavor, set), doomed).await,
    }
}
