//! Whether somebody else schedules: a kube-scheduler of Kubernetes that was started beside us. Two
//! that bind the same pods would undo each other's work, so ours waits, as the second of two
//! schedulers does. Kubernetes: leader election by this lease.

use crate::client::Client;
use crate::meta::{GroupVersionResource, Object, time};
use crate::stdx::Clock;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer holds.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The longest wait for a foreign lease to run out before it is looked at again.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(15);

/// Looks at the lease now and then.
#[derive(Debug, Default)]
pub(crate) struct Rival {
    looked: Mutex<Option<Instant>>,
}

impl Rival {
    /// How long somebody else holds the lease yet; none if nobody does.
    pub(crate) async fn wait(&self, client: &Client, clock: &Clock) -> Option<Duration> {
        let now = clock.instant();
        let fresh = |looked: Instant| now.saturating_duration_since(looked) < LOOK_AGAIN;
        if self.looked.lock().is_some_and(fresh) {
            return None;
        }
        let held = held(client, clock).await;
        *self.looked.lock() = held.is_none().then_some(now);
        held
    }
}

async fn held(client: &Client, clock: &Clock) -> Option<Duration> {
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let lease = client.get::<Value>(&leases, "kube-system", "kube-scheduler");
    let lease = Object::from_value(lease.await.ok()?)?;
    let number = |name: &str| lease.get(&["spec", name]).and_then(Value::as_i64);
    let renewed = time::parse(lease.str_at(&["spec", "renewTime"]))?;
    let valid = SignedDuration::from_secs(number("leaseDurationSeconds")?);
    let is_held = !lease.str_at(&["spec", "holderIdentity"]).is_empty();
    let left = valid.saturating_sub(clock.now().duration_since(renewed));
    let left = Duration::try_from(left)
        .ok()
        .filter(|left| is_held && !left.is_zero())?;
    Some(left.min(LEASE_WAIT_MAX))
}
