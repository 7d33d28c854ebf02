//! Pods that wait to be counted by a Job that will not count them, since it is gone, has ended, or
//! is theirs no more: they lose the finalizer, so that they can go.
//! Kubernetes: `pkg/controller/job/job_controller.go` syncOrphanPod.

use super::view::facts;
use super::{JOB, ended, is_foreign, pods};
use crate::client::ClientError;
use crate::controllers::def::{Context, ControllerDef, Next};
use crate::controllers::members::Member;
use crate::meta::{Object, ObjectKey};
use futures::FutureExt;

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "job_orphan_pod",
    account: Some("job-controller"),
    watches: &[],
    listen: Some(|caches, queue| {
        caches.pods.listen(move |_, now| {
            if let Some(pod) = now.filter(|pod| may_be_orphan(pod)) {
                queue.add(pod.key.clone());
            }
        });
    }),
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

fn may_be_orphan(pod: &Member) -> bool {
    let owner = pod.owner.as_ref().filter(|owner| &*owner.kind == JOB.kind);
    facts(pod).tracked && (pod.deleting || owner.is_none())
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let pod = context.caches.pods.get(&key);
    let Some(pod) = pod.filter(|pod| may_be_orphan(pod)) else {
        return Ok(Next::Wait);
    };
    let owner = pod.owner.as_ref().filter(|owner| &*owner.kind == JOB.kind);
    if let Some(owner) = owner {
        let at = ObjectKey::new(key.namespace.as_str(), &*owner.name);
        let job = JOB.read(&context, &at).await?;
        // Who else manages it is to look after its pods.
        let counts = |job: &Object| is_foreign(job) || ended(job).is_none();
        if job.is_some_and(|job| job.uid() == &*owner.uid && counts(&job)) {
            return Ok(Next::Wait);
        }
    }
    pods::untrack(&context, &[pod]).await.1?;
    Ok(Next::Wait)
}
