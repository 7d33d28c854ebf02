//! ttl-after-finished-controller: a Job that has ended goes when its `ttlSecondsAfterFinished` are
//! over, and its pods with it.
//! Kubernetes: `pkg/controller/ttlafterfinished`.

use super::{JOB, ended};
use crate::client::ClientError;
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::controllers::workloads::conditions;
use crate::meta::{Object, ObjectKey, time};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::time::Duration;

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "ttl-after-finished-controller",
    account: Some("ttl-after-finished-controller"),
    watches: &[Watched {
        resource: JOB.resource,
        fields: "",
        key: |job| expires(job).map(|_| job.key()),
    }],
    listen: None,
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// When a Job is to go; none if it has not ended, or is to stay, or goes already.
fn expires(job: &Object) -> Option<Timestamp> {
    let seconds = job.get(&["spec", "ttlSecondsAfterFinished"])?.as_i64()?;
    let ended = ended(job).filter(|_| job.deletion_timestamp().is_none())?;
    let since = time::parse(conditions::text(&ended, "lastTransitionTime"))?;
    since.checked_add(SignedDuration::from_secs(seconds)).ok()
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.client;
    let gvr = JOB.gvr();
    let Some(job) = JOB.read(&context, &key).await? else {
        return Ok(Next::Wait);
    };
    let Some(expires) = expires(&job) else {
        return Ok(Next::Wait);
    };
    let left = expires.duration_since(context.clock.now());
    if let Some(left) = Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
        return Ok(Next::After(left));
    }
    let options = json!({
        "propagationPolicy": "Foreground",
        "preconditions": {"uid": job.uid()},
    });
    match client
        .delete(&gvr, &key.namespace, &key.name, &options)
        .await
    {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(Next::Wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_job_expires_when_it_has_ended_and_is_to_go() {
        let job = |ttl: Value, kind: &str| {
            let job = json!({
                "spec": {"ttlSecondsAfterFinished": ttl},
                "status": {"conditions": [
                    {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"},
                ]},
            });
            Object::from_value(job).unwrap()
        };
        let at = |text: &str| time::parse(text);
        assert_eq!(
            expires(&job(json!(20), "Complete")),
            at("2026-01-01T00:00:30Z")
        );
        assert_eq!(
            expires(&job(json!(0), "Failed")),
            at("2026-01-01T00:00:10Z")
        );
        assert_eq!(expires(&job(json!(20), "FailureTarget")), None);
        assert_eq!(expires(&job(Value::Null, "Complete")), None);
        let mut going = job(json!(20), "Complete");
        going.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:20Z"),
        );
        assert_eq!(expires(&going), None);
    }
}
