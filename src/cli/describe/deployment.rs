//! Deployments, with their ReplicaSets. Kubernetes: kubectl's describer of them.

use super::text::{Text, at, time};
use super::workload::{conditions, count, is_controlled_by, number_or_text, selector};
use super::{Scene, template};
use crate::client::Query;
use serde_json::Value;

/// The label that tells the pods of one ReplicaSet from those of another.
const HASH: &str = "pod-template-hash";

pub(super) async fn describe(scene: &Scene<'_>, object: &Value, out: &mut Text) {
    out.field(0, "Name", at(object, "/metadata/name"));
    out.field(0, "Namespace", at(object, "/metadata/namespace"));
    let created = time(at(object, "/metadata/creationTimestamp"));
    out.field(0, "CreationTimestamp", created);
    out.labels_and_annotations(object);
    let labels = selector(object, "/spec/selector");
    out.field(0, "Selector", &labels);
    let replicas = format!(
        "{} desired | {} updated | {} total | {} available | {} unavailable",
        count(object, "/spec/replicas"),
        count(object, "/status/updatedReplicas"),
        count(object, "/status/replicas"),
        count(object, "/status/availableReplicas"),
        count(object, "/status/unavailableReplicas"),
    );
    out.field(0, "Replicas", replicas);
    out.field(0, "StrategyType", at(object, "/spec/strategy/type"));
    out.field(0, "MinReadySeconds", count(object, "/spec/minReadySeconds"));
    if let Some(rolling) = object.pointer("/spec/strategy/rollingUpdate") {
        let most = |field: &str| number_or_text(rolling, field).unwrap_or_default();
        let (unavailable, surge) = (most("/maxUnavailable"), most("/maxSurge"));
        let line = format!("{unavailable} max unavailable, {surge} max surge");
        out.field(0, "RollingUpdateStrategy", line);
    }
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    template::describe(template, out);
    conditions(object, out);
    let (old, new) = replica_sets(scene, object, &labels).await;
    if !old.is_empty() || !new.is_empty() {
        out.field(0, "OldReplicaSets", names(&old));
        out.field(0, "NewReplicaSet", names(&new));
    }
}

/// The ReplicaSets of earlier templates and the one of today's.
async fn replica_sets(scene: &Scene<'_>, object: &Value, labels: &str) -> (Vec<Value>, Vec<Value>) {
    let query = Query::new().with("labelSelector", labels);
    let namespace = at(object, "/metadata/namespace");
    let sets = scene.list(("apps", "v1", "replicasets"), namespace, &query);
    let mut sets = sets.await.unwrap_or_default();
    let uid = at(object, "/metadata/uid");
    sets.retain(|set| is_controlled_by(set, uid));
    let key = |set: &Value| {
        let text = |pointer: &str| at(set, pointer).to_owned();
        (text("/metadata/creationTimestamp"), text("/metadata/name"))
    };
    sets.sort_by_key(key);
    let wanted = without_hash(object);
    let new = sets.iter().position(|set| without_hash(set) == wanted);
    let new = new.map(|new| sets.remove(new));
    (sets, new.into_iter().collect())
}

/// The pod template of an object as its owner wrote it.
fn without_hash(object: &Value) -> Value {
    let template = object.pointer("/spec/template").cloned();
    let mut template = template.unwrap_or_default();
    for (place, key) in [
        ("/metadata", "creationTimestamp"),
        ("/metadata/labels", HASH),
    ] {
        if let Some(map) = template.pointer_mut(place).and_then(Value::as_object_mut) {
            map.remove(key);
        }
    }
    template
}

fn names(sets: &[Value]) -> String {
    if sets.is_empty() {
        return "<none>".to_owned();
    }
    let names = sets.iter().map(|set| {
        let (name, there) = (at(set, "/metadata/name"), count(set, "/status/replicas"));
        let wanted = count(set, "/spec/replicas");
        format!("{name} ({there}/{wanted} replicas created)")
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_does_not_tell_templates_apart() {
        let object = json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}});
        let labels = json!({"a": "b", "pod-template-hash": "1"});
        let set = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
        assert_eq!(without_hash(&object), without_hash(&set));
    }

    #[test]
    fn sets_are_named_with_their_counts() {
        let set = json!({
            "metadata": {"name": "a"}, "spec": {"replicas": 2}, "status": {"replicas": 1},
        });
        assert_eq!(names(&[]), "<none>");
        let shown = names(&[set.clone(), set]);
        assert_eq!(shown, "a (1/2 replicas created), a (1/2 replicas created)");
    }
}
