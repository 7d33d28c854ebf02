//! The node's lease, by which others see that it lives: renewed every ten seconds. This is the
//! one thing that a quiet node writes.
//!
//! Kubernetes: kubelet node lease controller; kube-node-lease.

use crate::client::{Client, ClientError, Meta, PatchKind};
use crate::meta::GroupVersionResource;
use crate::stdx::{Backoff, Clock};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::time::Duration;

/// How often the lease is renewed. Kubernetes: a quarter of its duration.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a lease holds. Kubernetes: nodeLeaseDurationSeconds.
const DURATION_SECONDS: u32 = 40;
/// The namespace of the nodes' leases.
const NAMESPACE: &str = "kube-node-lease";
/// The first wait before a failed renewal is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(200);
/// The longest wait. Kubernetes: maxBackoff of the lease controller.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(7);

/// What of the node's object is read.
#[derive(Deserialize)]
struct NodeUid {
    metadata: Meta,
}

fn leases() -> GroupVersionResource {
    GroupVersionResource::new("coordination.k8s.io", "v1", "leases")
}

fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Holds the lease of `node` for ever; dropped when the node stops.
pub(super) async fn hold(client: Client, node: String, clock: Clock) {
    let reset = RETRY_DELAY_MAX.saturating_mul(2);
    let mut backoff = Backoff::new(RETRY_DELAY_MIN, RETRY_DELAY_MAX, reset);
    loop {
        let wait = match renew(&client, &node, &clock).await {
            Ok(()) => {
                backoff.reset();
                RENEW_EVERY
            }
            Err(error) => {
                tracing::debug!(%node, %error, "the node's lease was not renewed");
                backoff.failed(clock.instant())
            }
        };
        clock.sleep(wait).await;
    }
}

async fn renew(client: &Client, node: &str, clock: &Clock) -> Result<(), ClientError> {
    let spec = json!({
        "holderIdentity": node,
        "leaseDurationSeconds": DURATION_SECONDS,
        "renewTime": micro_time(clock.now()),
    });
    let at = (NAMESPACE, node);
    let patch = json!({ "spec": spec });
    let renewed = client
        .patch::<IgnoredAny>(&leases(), at, "", PatchKind::Merge, &patch)
        .await;
    match renewed {
        Err(error) if error.is_not_found() => {}
        other => return other.map(|_| ()),
    }
    // The node's object may be another one than at the start: somebody deleted it, and with it the
    // lease, and the node registered again.
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    let object: NodeUid = client.get(&nodes, "", node).await?;
    let node_uid = object.metadata.uid;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": node,
            "namespace": NAMESPACE,
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Node", "name": node, "uid": node_uid,
            }],
        },
        "spec": spec,
    });
    client
        .create::<IgnoredAny>(&leases(), NAMESPACE, None, &lease)
        .await
        .map(|_| ())
}
