//! The revisions of a Deployment: which number its ReplicaSets bear and what is written on them.
//! Pure.
//! Kubernetes: `pkg/controller/deployment/util/deployment_util.go` SetNewReplicaSetAnnotations.

use super::view::{
    DESIRED_REPLICAS, Deployment, MAX_REPLICAS, REVISION, REVISION_HISTORY, ROLLBACK_TO, Set, View,
};
use crate::meta::Object;
use serde_json::{Map, Value, json};

/// The longest list of older revisions, in bytes; the oldest are forgotten.
const HISTORY_BYTES_MAX: usize = 2000;
/// What an apply of the client wrote last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a Deployment and its ReplicaSets say of themselves, not of their pods.
fn is_own(name: &str) -> bool {
    [
        LAST_APPLIED,
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        ROLLBACK_TO,
    ]
    .contains(&name)
}

fn annotations(object: &Object) -> Map<String, Value> {
    let found = object.get(&["metadata", "annotations"]);
    found
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// The revision that the new ReplicaSet is to have: one more than all others.
pub(super) fn next(view: &View) -> i64 {
    let revisions = view.old.iter().filter_map(Set::revision);
    revisions.max().unwrap_or(0).max(0) + 1
}

/// The revision before the last.
pub(super) fn before_last(view: &View) -> i64 {
    let mut revisions: Vec<i64> = view.all().filter_map(Set::revision).collect();
    revisions.sort_unstable_by(|a, b| b.cmp(a));
    revisions.get(1).copied().unwrap_or(0)
}

/// The annotations of the new ReplicaSet: those of the Deployment, and its revision.
pub(super) fn annotate_new(
    deployment: &Deployment,
    set: &Object,
    revision: i64,
) -> Map<String, Value> {
    let mut own = annotations(set);
    for (name, value) in annotations(&deployment.object) {
        if !is_own(&name) {
            own.insert(name, value);
        }
    }
    let text = |own: &Map<String, Value>, name: &str| {
        let text = own.get(name).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    let before = text(&own, REVISION);
    let Ok(number) = before.as_deref().unwrap_or("0").parse::<i64>() else {
        return own;
    };
    if number < revision {
        own.insert(REVISION.to_owned(), json!(revision.to_string()));
        if let Some(before) = before {
            let history = text(&own, REVISION_HISTORY).unwrap_or_default();
            let history = lengthened(&history, &before);
            own.insert(REVISION_HISTORY.to_owned(), json!(history));
        }
    }
    own
}

/// A list with one more revision, as long as is allowed.
fn lengthened(history: &str, revision: &str) -> String {
    let mut all: Vec<&str> = history.split(',').filter(|of| !of.is_empty()).collect();
    all.push(revision);
    let mut length: usize = all.iter().map(|of| of.len() + 1).sum();
    let mut from = 0;
    while length > HISTORY_BYTES_MAX + 1
        && let Some(oldest) = all.get(from)
    {
        length -= oldest.len() + 1;
        from += 1;
    }
    all.get(from..).unwrap_or_default().join(",")
}

/// Writes down how many pods were wanted when a ReplicaSet was scaled.
pub(super) fn annotate_size(deployment: &Deployment, own: &mut Map<String, Value>) {
    let (desired, max) = (deployment.replicas, deployment.max_pods());
    own.insert(DESIRED_REPLICAS.to_owned(), json!(desired.to_string()));
    own.insert(MAX_REPLICAS.to_owned(), json!(max.to_string()));
}

/// The Deployment with the template and the annotations of an older ReplicaSet.
/// Kubernetes: rollbackToTemplate.
pub(super) fn rolled_back(deployment: &Deployment, set: &Set) -> Object {
    let mut object = deployment.object.clone();
    let mut template = set
        .object
        .get(&["spec", "template"])
        .cloned()
        .unwrap_or_default();
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(crate::controllers::workloads::template::HASH_LABEL);
    }
    object.set(&["spec", "template"], template);
    let mut own = annotations(&object);
    own.retain(|name, _| is_own(name));
    let theirs = annotations(&set.object).into_iter();
    own.extend(theirs.filter(|(name, _)| !is_own(name)));
    object.set(&["metadata", "annotations"], Value::Object(own));
    without_rollback(object)
}

/// The Deployment without the wish for an older revision.
pub(super) fn without_rollback(mut object: Object) -> Object {
    object.remove(&["metadata", "annotations", ROLLBACK_TO]);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_forgets_its_oldest() {
        assert_eq!(lengthened("", "1"), "1");
        assert_eq!(lengthened("1,3", "5"), "1,3,5");
        let long = vec!["1000"; 400].join(",");
        assert_eq!(long.len(), 1999);
        let longer = lengthened(&long, "2000");
        assert_eq!(longer.len(), 1999);
        assert!(longer.ends_with(",2000"));
    }
}
