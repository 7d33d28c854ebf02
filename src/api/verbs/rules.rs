//! What the server itself writes into an object's metadata. Must not know verbs or storage.
//! Kubernetes: apiserver `registry/rest` BeforeCreate, BeforeDelete.

use crate::meta::{Object, time};
use crate::resources::ResourceDef;
use crate::stdx::Clock;
use jiff::Timestamp;
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

/// Marks an object as being deleted, to be gone after `grace_seconds`. One that is marked already
/// keeps the time at which its deletion began: its grace can only end sooner.
pub(crate) fn begin_delete(object: &mut Object, clock: &Clock, grace_seconds: i64) {
    let now = clock.now();
    let first = object.deletion_timestamp().is_none();
    let began = began(object).unwrap_or(now);
    let mut grace_seconds = grace_seconds;
    let mut at = after(began, grace_seconds);
    if !first && at < now {
        at = now;
        // Whoever stops it is still the one to delete it for good.
        grace_seconds = grace_seconds.min(1);
    }
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

/// When the deletion of an object began, if it is marked.
fn began(object: &Object) -> Option<Timestamp> {
    let at: Timestamp = object.deletion_timestamp()?.parse().ok()?;
    let grace = u64::try_from(grace_of(object)?).ok()?;
    at.checked_sub(Duration::from_secs(grace)).ok()
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    time.checked_add(seconds).unwrap_or(time)
}

/// Takes out owner references that stand there twice; answers the uids of those.
/// Kubernetes: apiserver `handlers.dedupOwnerReferences`.
pub(crate) fn dedup_owner_references(object: &mut Object) -> Vec<String> {
    let path = ["metadata", "ownerReferences"];
    let Some(Value::Array(references)) = object.get(&path) else {
        return Vec::new();
    };
    let mut once: Vec<Value> = Vec::with_capacity(references.len());
    let mut twice = Vec::new();
    for reference in references {
        if once.contains(reference) {
            let uid = reference.get("uid").and_then(Value::as_str);
            twice.push(uid.unwrap_or_default().to_owned());
        } else {
            once.push(reference.clone());
        }
    }
    if !twice.is_empty() {
        object.set(&path, Value::Array(once));
    }
    twice
}

/// `metadata.deletionGracePeriodSeconds`.
pub(crate) fn grace_of(object: &Object) -> Option<i64> {
    object
        .get(&["metadata", "deletionGracePeriodSeconds"])
        .and_then(Value::as_i64)
}
