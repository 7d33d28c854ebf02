//! pvc-protection-controller and pv-protection-controller: a claim that is to go is released when no
//! pod uses it, a volume when no claim is bound to it.
//! Kubernetes: `pkg/controller/volume/pvcprotection`, `pvprotection`.

use crate::client::{Client, ClientError, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use serde_json::{Value, json};
use std::time::Duration;

/// How long to wait before it is looked again whether the last user is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(crate) static CLAIMS: ControllerDef = ControllerDef {
    name: "persistentvolumeclaim-protection-controller",
    account: Some("pvc-protection-controller"),
    watches: &[Watched {
        resource: ("", "v1", "persistentvolumeclaims"),
        fields: "",
        key: |claim| held(claim, CLAIM_FINALIZER),
    }],
    listen: None,
    workers: 1,
    reconcile: |context, key| release(context, key, "persistentvolumeclaims").boxed(),
};

pub(crate) static VOLUMES: ControllerDef = ControllerDef {
    name: "persistentvolume-protection-controller",
    account: Some("pv-protection-controller"),
    watches: &[Watched {
        resource: ("", "v1", "persistentvolumes"),
        fields: "",
        key: |volume| held(volume, VOLUME_FINALIZER),
    }],
    listen: None,
    workers: 1,
    reconcile: |context, key| release(context, key, "persistentvolumes").boxed(),
};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// The key of what is to go and is held by the finalizer.
fn held(object: &Object, finalizer: &str) -> Option<ObjectKey> {
    let going = object.deletion_timestamp().is_some();
    let holds = object.finalizers().any(|own| own == finalizer);
    (going && holds).then(|| object.key())
}

async fn release(
    context: Context,
    key: ObjectKey,
    resource: &'static str,
) -> Result<Next, ClientError> {
    let client = &context.client;
    let of = GroupVersionResource::new("", "v1", resource);
    let found = match client.get::<Value>(&of, &key.namespace, &key.name).await {
        Ok(value) => Object::from_value(value),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let is_claim = resource == "persistentvolumeclaims";
    let finalizer = if is_claim {
        CLAIM_FINALIZER
    } else {
        VOLUME_FINALIZER
    };
    let Some(object) = found.filter(|object| held(object, finalizer).is_some()) else {
        return Ok(Next::Wait);
    };
    let used = if is_claim {
        is_used(client, &key).await?
    } else {
        object.str_at(&["status", "phase"]) == "Bound"
    };
    if used {
        return Ok(Next::After(LOOK_AGAIN));
    }
    let left: Vec<Value> = object
        .finalizers()
        .filter(|own| *own != finalizer)
        .map(Value::from)
        .collect();
    let mut released = object.clone();
    released.set(&["metadata", "finalizers"], Value::Array(left));
    let body = released.into_value();
    let updated = client.update::<Value>(&of, &key.namespace, &key.name, "", &body);
    match updated.await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(Next::Wait),
    }
}

/// Whether a pod that has not ended names the claim.
async fn is_used(client: &Client, claim: &ObjectKey) -> Result<bool, ClientError> {
    let pods = GroupVersionResource::new("", "v1", "pods");
    let listed = client
        .list::<Value>(&pods, &claim.namespace, &Query::new())
        .await?;
    Ok(listed
        .items
        .into_iter()
        .filter_map(Object::from_value)
        .any(|pod| uses(&pod, &claim.name)))
}

fn uses(pod: &Object, claim: &str) -> bool {
    let ended = matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    let volumes = pod.get(&["spec", "volumes"]).and_then(Value::as_array);
    let named = volumes.into_iter().flatten().any(|volume| {
        let name = volume.pointer("/persistentVolumeClaim/claimName");
        let ephemeral = volume
            .get("ephemeral")
            .and(volume.get("name"))
            .and_then(Value::as_str);
        name == Some(&json!(claim))
            || ephemeral.is_some_and(|volume| claim == format!("{}-{volume}", pod.name()))
    });
    named && !ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uses_a_claim_until_it_has_ended() {
        let pod = |phase: &str| {
            Object::from_value(json!({
                "metadata": {"name": "p"},
                "spec": {"volumes": [
                    {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "b", "ephemeral": {}},
                ]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        assert!(uses(&pod("Running"), "data"));
        assert!(uses(&pod("Pending"), "p-b"));
        assert!(!uses(&pod("Running"), "other"));
        assert!(!uses(&pod("Succeeded"), "data"));
    }
}
