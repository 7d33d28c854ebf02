//! What a Deployment does next: pure. One step at a time: the driver carries it out, reads anew, and
//! asks again, until nothing is left but the status. The order is Kubernetes': paused, rollback,
//! scaling, rollout.
//! Kubernetes: `pkg/controller/deployment/{deployment_controller,sync,rolling,recreate,rollback}.go`.

use super::progress;
use super::revision;
use super::view::{DESIRED_REPLICAS, Deployment, MAX_REPLICAS, REVISION, ROLLBACK_TO, Set, View};
use crate::controllers::workloads::template::{self, HASH_LABEL};
use crate::meta::Object;
use crate::meta::time::rfc3339;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// This ReplicaSet is to be made.
    Create(Object),
    /// ReplicaSets are to be changed to this; with what is to be told of it.
    Update(Vec<(Object, Option<String>)>),
    /// ReplicaSets that nobody needs any more.
    Delete(Vec<Object>),
    /// The Deployment itself is to be changed: a rollback; with the Event's reason and message, and
    /// whether it is a warning.
    Rollback(Object, (&'static str, String, bool)),
    /// The status is to be written; then, if `last`, there is nothing more to do.
    Status(Object, bool),
    /// All is as it should be; to be looked at again after a while, if a time is given.
    Rest(Option<Duration>),
}

/// The next step.
pub(super) fn next(view: &View, now: Timestamp) -> Step {
    let deployment = &view.deployment;
    if deployment.object.deletion_timestamp().is_some() {
        return status_of(view, now, false);
    }
    if let Some(step) = paused_condition(deployment, now) {
        return step;
    }
    if let Some(step) = sync_revision(view, now) {
        return step;
    }
    if deployment.paused() {
        return sync(view, now, true);
    }
    if let Some(wanted) = deployment.object.annotation(ROLLBACK_TO)
        && let Ok(wanted) = wanted.parse::<i64>()
    {
        return match &view.new {
            Some(_) => rollback(view, wanted),
            None => Step::Create(new_set(view)),
        };
    }
    let scaling = view.all().filter(|set| set.is_active()).any(|set| {
        let desired = set.annotated(DESIRED_REPLICAS);
        desired.is_some_and(|desired| desired != deployment.replicas)
    });
    if scaling {
        sync(view, now, false)
    } else if deployment.rolling {
        roll(view, now)
    } else {
        recreate(view, now)
    }
}

/// The condition that tells that a rollout is halted, or goes on: time does not count meanwhile.
fn paused_condition(deployment: &Deployment, now: Timestamp) -> Option<Step> {
    deployment.progress_deadline()?;
    let current = progress::reason(&deployment.object);
    if current == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let (paused, told) = (deployment.paused(), current == Some("DeploymentPaused"));
    let (reason, message) = match (paused, told) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return None,
    };
    let condition = progress::condition("Progressing", "Unknown", (reason, message), now);
    Some(progress::with_condition(deployment, condition))
}

/// The new ReplicaSet, where there is one, bears the newest revision and the Deployment's
/// annotations; the Deployment bears its revision.
/// Kubernetes: getNewReplicaSet.
fn sync_revision(view: &View, now: Timestamp) -> Option<Step> {
    let deployment = &view.deployment;
    let new = view.new.as_ref()?;
    let annotations = revision::annotate_new(deployment, &new.object, revision::next(view));
    let ready = |object: &Object| object.get(&["spec", "minReadySeconds"]).cloned();
    let ready = (ready(&new.object), ready(&deployment.object));
    if new.object.get(&["metadata", "annotations"]) != Some(&Value::Object(annotations.clone()))
        || ready.0 != ready.1
    {
        let mut object = new.object.clone();
        object.set(&["metadata", "annotations"], Value::Object(annotations));
        match ready.1 {
            Some(seconds) => object.set(&["spec", "minReadySeconds"], seconds),
            None => {
                object.remove(&["spec", "minReadySeconds"]);
            }
        }
        return Some(Step::Update(vec![(object, None)]));
    }
    let revision = annotations.get(REVISION).and_then(Value::as_str);
    let mut object = deployment.object.clone();
    let mut changed = false;
    if let Some(revision) = revision.filter(|of| deployment.object.annotation(REVISION) != Some(of))
    {
        object.set(&["metadata", "annotations", REVISION], json!(revision));
        changed = true;
    }
    if deployment.progress_deadline().is_some() && progress::reason(&object).is_none() {
        let message = format!("Found new replica set \"{}\"", new.object.name());
        let of = ("FoundNewReplicaSet", message.as_str());
        let condition = progress::condition("Progressing", "True", of, now);
        progress::set_condition(&mut object, condition);
        changed = true;
    }
    changed.then_some(Step::Status(object, false))
}

/// The ReplicaSet of the Deployment's template, that is not there yet.
pub(super) fn new_set(view: &View) -> Object {
    let deployment = &view.deployment;
    let collisions = deployment.object.get(&["status", "collisionCount"]);
    let hash = template::hash(deployment.template(), collisions.and_then(Value::as_i64));
    let mut template = deployment.template().clone();
    let mut labels = template
        .pointer("/metadata/labels")
        .cloned()
        .unwrap_or(json!({}));
    let mut selector = deployment
        .object
        .get(&["spec", "selector"])
        .cloned()
        .unwrap_or(json!({}));
    set_in(&mut labels, &[HASH_LABEL], json!(hash));
    set_in(&mut selector, &["matchLabels", HASH_LABEL], json!(hash));
    set_in(&mut template, &["metadata", "labels"], labels.clone());
    let wanted = view.wanted();
    let replicas = size_of_new(deployment, wanted, 0);
    let mut annotations =
        revision::annotate_new(deployment, &Object::default(), revision::next(view));
    revision::annotate_size(deployment, &mut annotations);
    let mut spec = Map::new();
    spec.insert("replicas".to_owned(), json!(replicas));
    if let Some(seconds) = deployment.object.get(&["spec", "minReadySeconds"]) {
        spec.insert("minReadySeconds".to_owned(), seconds.clone());
    }
    spec.insert("selector".to_owned(), selector);
    spec.insert("template".to_owned(), template);
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment.object.name()),
            "namespace": deployment.object.namespace(),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [super::DEPLOYMENT.owner_reference(&deployment.object)],
        },
        "spec": spec,
    });
    Object::from_value(object).unwrap_or_default()
}

/// Sets a field of a value, making objects on the way.
fn set_in(value: &mut Value, path: &[&str], to: Value) {
    let mut object = Object::from_value(std::mem::take(value)).unwrap_or_default();
    object.set(path, to);
    *value = object.into_value();
}

/// How many pods the new ReplicaSet may have, when `wanted` are wanted of all together.
/// Kubernetes: NewRSNewReplicas.
fn size_of_new(deployment: &Deployment, wanted: i64, current: i64) -> i64 {
    if !deployment.rolling {
        return deployment.replicas;
    }
    let room = (deployment.max_pods() - wanted).max(0);
    current + room.min((deployment.replicas - current).max(0))
}

/// A ReplicaSet of another size, and what is told of it.
fn resized(deployment: &Deployment, set: &Set, to: i64) -> Option<(Object, Option<String>)> {
    let expected = (deployment.replicas, deployment.max_pods());
    let noted = (set.annotated(DESIRED_REPLICAS), set.annotated(MAX_REPLICAS));
    if set.replicas == to && noted == (Some(expected.0), Some(expected.1)) {
        return None;
    }
    let mut object = set.object.clone();
    let annotations = object.get(&["metadata", "annotations"]);
    let mut annotations = annotations
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    revision::annotate_size(deployment, &mut annotations);
    object.set(&["metadata", "annotations"], Value::Object(annotations));
    object.set(&["spec", "replicas"], json!(to));
    let way = if set.replicas < to { "up" } else { "down" };
    let (name, from) = (set.object.name(), set.replicas);
    let message =
        (from != to).then(|| format!("Scaled {way} replica set {name} from {from} to {to}"));
    Some((object, message))
}

/// A ReplicaSet of another size, if it has another one: annotations alone are no reason.
fn scaled(deployment: &Deployment, set: &Set, to: i64) -> Option<(Object, Option<String>)> {
    (set.replicas != to).then(|| resized(deployment, set, to))?
}

fn update(changes: Vec<(Object, Option<String>)>) -> Option<Step> {
    (!changes.is_empty()).then_some(Step::Update(changes))
}

/// Scaling alone: in proportion while a rollout is under way, and while it is halted.
fn sync(view: &View, now: Timestamp, paused: bool) -> Step {
    let step = update(proportionally(view));
    let step = step.or_else(|| paused.then(|| cleanup(view)).flatten());
    step.unwrap_or_else(|| status_of(view, now, false))
}

/// Kubernetes: scale.
fn proportionally(view: &View) -> Vec<(Object, Option<String>)> {
    let deployment = &view.deployment;
    let mut active: Vec<&Set> = view.all().filter(|set| set.is_active()).collect();
    if active.len() < 2 {
        let latest = active.pop().or(view.new.as_ref()).or(view.old.last());
        let changed = latest.and_then(|set| scaled(deployment, set, deployment.replicas));
        return changed.into_iter().collect();
    }
    let saturated = view.new.as_ref().is_some_and(|new| {
        new.replicas == deployment.replicas
            && new.annotated(DESIRED_REPLICAS) == Some(deployment.replicas)
            && new.available == deployment.replicas
    });
    if saturated {
        let old = view.old.iter();
        return old.filter_map(|set| scaled(deployment, set, 0)).collect();
    }
    if !deployment.rolling {
        return Vec::new();
    }
    let allowed = if deployment.replicas > 0 {
        deployment.max_pods()
    } else {
        0
    };
    let to_add = allowed - active.iter().map(|set| set.replicas).sum::<i64>();
    // The greatest first; of those of one size the newer, when pods come, the older, when they go.
    active.sort_by(|a, b| {
        let age = if to_add > 0 { b.by_age(a) } else { a.by_age(b) };
        b.replicas.cmp(&a.replicas).then(age)
    });
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for set in &active {
        let share = share(deployment, set, to_add, added);
        added += share;
        sizes.push(set.replicas + share);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    let sized = active.into_iter().zip(sizes);
    sized
        .filter_map(|(set, size)| resized(deployment, set, size))
        .collect()
}

/// What a ReplicaSet gets of the pods that come, or gives of those that go.
/// Kubernetes: GetProportion, getReplicaSetFraction.
fn share(deployment: &Deployment, set: &Set, to_add: i64, added: i64) -> i64 {
    if set.replicas == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = if deployment.replicas == 0 {
        -set.replicas
    } else {
        let before = set.annotated(MAX_REPLICAS).filter(|max| *max != 0);
        let before = before
            .unwrap_or_else(|| deployment.status("replicas"))
            .max(1);
        let size = (set.replicas * deployment.max_pods()) as f64 / before as f64;
        size.round() as i64 - set.replicas
    };
    if to_add > 0 {
        fraction.min(to_add - added)
    } else {
        fraction.max(to_add - added)
    }
}

/// Old ReplicaSets over the limit of the history, the oldest revisions first, that are empty.
fn cleanup(view: &View) -> Option<Step> {
    let limit = usize::try_from(view.deployment.history_limit()?).unwrap_or(0);
    let alive = |set: &&Set| set.object.deletion_timestamp().is_none();
    let mut old: Vec<&Set> = view.old.iter().filter(alive).collect();
    let surplus = old.len().checked_sub(limit)?;
    old.sort_by(|a, b| match (a.revision(), b.revision()) {
        (Some(one), Some(other)) if one != other => one.cmp(&other),
        _ => a.by_age(b),
    });
    let observed = |set: &Set| super::number(&set.object, &["status", "observedGeneration"]);
    let empty = |set: &&Set| {
        set.actual == 0 && set.replicas == 0 && set.object.generation() <= observed(set)
    };
    let doomed = old.into_iter().take(surplus).filter(empty);
    let doomed: Vec<Object> = doomed.map(|set| set.object.clone()).collect();
    (!doomed.is_empty()).then_some(Step::Delete(doomed))
}

/// A rolling update: the new ReplicaSet grows as far as the surge allows, the old ones shrink as far
/// as what is available allows.
fn roll(view: &View, now: Timestamp) -> Step {
    let deployment = &view.deployment;
    let Some(new) = &view.new else {
        return Step::Create(new_set(view));
    };
    let size = if new.replicas > deployment.replicas {
        deployment.replicas
    } else {
        size_of_new(deployment, view.wanted(), new.replicas)
    };
    let step = update(scaled(deployment, new, size).into_iter().collect());
    let step = step.or_else(|| update(shrink_old(view, new)));
    let complete = progress::is_complete(deployment, &deployment.object);
    let step = step.or_else(|| complete.then(|| cleanup(view)).flatten());
    step.unwrap_or_else(|| status_of(view, now, true))
}

/// Kubernetes: reconcileOldReplicaSets.
fn shrink_old(view: &View, new: &Set) -> Vec<(Object, Option<String>)> {
    let deployment = &view.deployment;
    let min_available = deployment.replicas - deployment.max_unavailable;
    let new_unavailable = new.replicas - new.available;
    let mut removable = view.wanted() - min_available - new_unavailable;
    if removable <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i64> = view.old.iter().map(|set| set.replicas).collect();
    // First what serves nobody anyway.
    for (set, size) in view.old.iter().zip(&mut sizes) {
        let gone = removable.min(*size - set.available).max(0);
        *size -= gone;
        removable -= gone;
    }
    // What a ReplicaSet is about to delete still counts as available in its status: it is not.
    let available: i64 = view.all().map(|set| set.available.min(set.replicas)).sum();
    let gone: i64 = view
        .old
        .iter()
        .zip(&sizes)
        .map(|(set, size)| {
            let before = set.available.min(set.replicas);
            before - before.min(*size)
        })
        .sum();
    let mut spare = (available - gone - min_available).max(0);
    for size in &mut sizes {
        let gone = spare.min(*size);
        *size -= gone;
        spare -= gone;
    }
    let sized = view.old.iter().zip(sizes);
    sized
        .filter_map(|(set, size)| scaled(deployment, set, size))
        .collect()
}

/// Recreate: first all old pods go, then the new ones come.
fn recreate(view: &View, now: Timestamp) -> Step {
    let deployment = &view.deployment;
    let old = view.old.iter();
    if let Some(step) = update(old.filter_map(|set| scaled(deployment, set, 0)).collect()) {
        return step;
    }
    if view.old_pods_run || view.old.iter().any(|set| set.actual > 0) {
        return status_of(view, now, true);
    }
    let Some(new) = &view.new else {
        return Step::Create(new_set(view));
    };
    if let Some(changed) = scaled(deployment, new, deployment.replicas) {
        return Step::Update(vec![changed]);
    }
    let complete = progress::is_complete(deployment, &deployment.object);
    let step = complete.then(|| cleanup(view)).flatten();
    step.unwrap_or_else(|| status_of(view, now, true))
}

/// The status as it is now, or rest.
fn status_of(view: &View, now: Timestamp, rollout: bool) -> Step {
    let deployment = &view.deployment;
    let status = progress::status(view, now, rollout);
    if deployment.object.get(&["status"]) == Some(&status) {
        let rest = rollout.then(|| progress::look_again(deployment, now));
        return Step::Rest(rest.flatten());
    }
    let mut object = deployment.object.clone();
    object.set(&["status"], status);
    Step::Status(object, true)
}

/// The template of an older revision comes back.
fn rollback(view: &View, wanted: i64) -> Step {
    let deployment = &view.deployment;
    let give_up = |reason, message: &str| {
        let object = revision::without_rollback(deployment.object.clone());
        Step::Rollback(object, (reason, message.to_owned(), true))
    };
    let wanted = match wanted {
        0 => revision::before_last(view),
        wanted => wanted,
    };
    if wanted == 0 {
        return give_up(
            "DeploymentRollbackRevisionNotFound",
            "Unable to find last revision.",
        );
    }
    let name = deployment.object.name();
    match view.all().find(|set| set.revision() == Some(wanted)) {
        None => give_up(
            "DeploymentRollbackRevisionNotFound",
            "Unable to find the revision to rollback to.",
        ),
        Some(set) if set.has_template_of(deployment) => give_up(
            "DeploymentRollbackTemplateUnchanged",
            &format!(
                "The rollback revision contains the same template as current deployment \"{name}\""
            ),
        ),
        Some(set) => {
            let message = format!("Rolled back deployment \"{name}\" to revision {wanted}");
            let object = revision::rolled_back(deployment, set);
            Step::Rollback(object, ("DeploymentRollback", message, false))
        }
    }
}

/// The Deployment says that its ReplicaSet was made, and bears its revision.
pub(super) fn created(deployment: &Deployment, set: &Object, now: Timestamp) -> Option<Object> {
    let mut object = deployment.object.clone();
    if let Some(revision) = set.annotation(REVISION) {
        object.set(&["metadata", "annotations", REVISION], json!(revision));
    }
    if deployment.progress_deadline().is_some() {
        let message = format!("Created new replica set \"{}\"", set.name());
        let of = ("NewReplicaSetCreated", message.as_str());
        let condition = progress::condition("Progressing", "True", of, now);
        progress::set_condition(&mut object, condition);
    }
    (object != deployment.object).then_some(object)
}

/// The Deployment says that its ReplicaSet could not be made.
pub(super) fn create_failed(
    deployment: &Deployment,
    message: &str,
    now: Timestamp,
) -> Option<Object> {
    deployment.progress_deadline()?;
    let of = ("ReplicaSetCreateError", message);
    let condition = progress::condition("Progressing", "False", of, now);
    match progress::with_condition(deployment, condition) {
        Step::Status(object, _) if object != deployment.object => Some(object),
        _ => None,
    }
}

/// The Deployment counts one more collision of names: the next name is another one.
pub(super) fn collided(deployment: &Deployment) -> Object {
    let mut object = deployment.object.clone();
    let count = deployment.status("collisionCount") + 1;
    object.set(&["status", "collisionCount"], json!(count));
    object
}

/// A time as conditions bear it.
pub(super) fn at(now: Timestamp) -> Value {
    json!(rfc3339(now))
}
