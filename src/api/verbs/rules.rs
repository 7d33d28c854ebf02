//! What the server itself writes into an object's metadata. Must not know verbs or storage.
//! Kubernetes: apiserver `registry/rest` BeforeCreate, BeforeDelete.

use crate::meta::{Object, time};
use crate::resources::ResourceDef;
use crate::stdx::Clock;
use serde_json::Value;
use std::time::Duration;

/// Makes an object new: its identity, its time, what its strategy takes out and fills in.
pub(crate) fn begin_create(def: &ResourceDef, object: &mut Object, clock: &Clock) {
    let now = time::rfc3339(clock.now());
    object.set(&["metadata", "creationTimestamp"], Value::String(now));
    let uid = uuid::Uuid::new_v4().to_string();
    object.set(&["metadata", "uid"], Value::String(uid));
    // A Job's selector is made of its uid.
    def.prepare_for_create(object);
}

/// Marks an object as being deleted, to be gone after `grace_seconds`.
pub(crate) fn begin_delete(object: &mut Object, clock: &Clock, grace_seconds: i64) {
    let grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or_default());
    let now = clock.now();
    let at = now.checked_add(grace).unwrap_or(now);
    let first = object.deletion_timestamp().is_none();
    object.set(
        &["metadata", "deletionTimestamp"],
        Value::String(time::rfc3339(at)),
    );
    object.set(
        &["metadata", "deletionGracePeriodSeconds"],
        grace_seconds.into(),
    );
    let generation = object.generation();
    if first && generation > 0 {
        object.set(&["metadata", "generation"], (generation + 1).into());
    }
}

/// `metadata.deletionGracePeriodSeconds`.
pub(crate) fn grace_of(object: &Object) -> Option<i64> {
    object
        .get(&["metadata", "deletionGracePeriodSeconds"])
        .and_then(Value::as_i64)
}
