//! Who a pod of a StatefulSet is: its name, its number, its labels, its claims. Pure.
//! Kubernetes: `pkg/controller/statefulset/stateful_set_utils.go`.

use crate::controllers::members::Member;
use crate::controllers::workloads::history::REVISION_LABEL;
use crate::controllers::workloads::pod_control::pod_of_template;
use crate::controllers::workloads::{Flavor, number};
use crate::meta::Object;
use serde_json::{Map, Value, json};

/// The label that bears a pod's name.
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label that bears a pod's number.
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The number at the end of a pod's name, if the rest of it is `set`.
pub(super) fn ordinal(set: &str, pod: &str) -> Option<i64> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i32>().ok().map(i64::from)
}

/// The number of the first pod.
pub(super) fn start(set: &Object) -> i64 {
    number(set, &["spec", "ordinals", "start"])
}

/// Whether the set wants a pod of this number.
pub(super) fn in_range(set: &Object, ordinal: i64) -> bool {
    let start = start(set);
    (start..start + number(set, &["spec", "replicas"])).contains(&ordinal)
}

/// The name of a pod.
pub(super) fn pod_name(set: &Object, ordinal: i64) -> String {
    format!("{}-{ordinal}", set.name())
}

/// Whether a pod bears the labels that say who it is.
pub(super) fn matches(pod: &Member) -> bool {
    pod.label(NAME_LABEL) == Some(&*pod.key.name)
}

/// The labels that say who a pod is.
pub(super) fn labels(set: &Object, ordinal: i64) -> [(&'static str, String); 2] {
    [
        (NAME_LABEL, pod_name(set, ordinal)),
        (INDEX_LABEL, ordinal.to_string()),
    ]
}

/// The pod of a number, of a template and the revision that it has.
pub(super) fn pod(
    (flavor, set): (&Flavor, &Object),
    template: &Value,
    revision: &str,
    ordinal: i64,
) -> Object {
    let built = pod_of_template(template, set, flavor.owner_reference(set));
    let mut pod = Object::from_value(built).unwrap_or_default();
    let name = pod_name(set, ordinal);
    for (label, value) in labels(set, ordinal) {
        pod.set(&["metadata", "labels", label], json!(value));
    }
    pod.set(&["metadata", "labels", REVISION_LABEL], json!(revision));
    pod.set(&["metadata", "name"], json!(name));
    pod.set(&["spec", "hostname"], json!(name));
    let service = set.str_at(&["spec", "serviceName"]);
    if !service.is_empty() {
        pod.set(&["spec", "subdomain"], json!(service));
    }
    if let Some(volumes) = volumes(set, ordinal, pod.get(&["spec", "volumes"])) {
        pod.set(&["spec", "volumes"], volumes);
    }
    pod
}

/// The templates of the set's claims.
pub(super) fn claim_templates(set: &Object) -> &[Value] {
    let templates = set.get(&["spec", "volumeClaimTemplates"]);
    templates
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn template_name(template: &Value) -> &str {
    let name = template.pointer("/metadata/name");
    name.and_then(Value::as_str).unwrap_or_default()
}

fn claim_name(set: &Object, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", template_name(template), set.name())
}

/// The volumes of a pod: its claims, and what else it has. None if the set has no claims.
pub(super) fn volumes(set: &Object, ordinal: i64, others: Option<&Value>) -> Option<Value> {
    let templates = claim_templates(set);
    if templates.is_empty() {
        return None;
    }
    let claim = |template: &Value| {
        let claim = claim_name(set, template, ordinal);
        json!({"name": template_name(template), "persistentVolumeClaim": {"claimName": claim}})
    };
    let mut all: Vec<Value> = templates.iter().map(claim).collect();
    let others = others.and_then(Value::as_array).into_iter().flatten();
    let is_claim = |volume: &Value| {
        let name = volume.get("name").and_then(Value::as_str);
        templates.iter().any(|of| Some(template_name(of)) == name)
    };
    all.extend(others.filter(|volume| !is_claim(volume)).cloned());
    Some(Value::Array(all))
}

/// Whether a pod mounts the claims of its number.
pub(super) fn has_its_claims(set: &Object, ordinal: i64, pod: &Object) -> bool {
    let volumes = pod.get(&["spec", "volumes"]).and_then(Value::as_array);
    claim_templates(set).iter().all(|template| {
        let claim = claim_name(set, template, ordinal);
        volumes.into_iter().flatten().any(|volume| {
            let named = volume.get("name").and_then(Value::as_str);
            let of = volume.pointer("/persistentVolumeClaim/claimName");
            named == Some(template_name(template)) && of == Some(&json!(claim))
        })
    })
}

/// The claims of a number.
pub(super) fn claims(set: &Object, ordinal: i64) -> Vec<Object> {
    let selected = set.get(&["spec", "selector", "matchLabels"]);
    let selected = selected.and_then(Value::as_object);
    let build = |template: &Value| {
        let mut claim = Object::from_value(template.clone())?;
        claim.set(
            &["metadata", "name"],
            json!(claim_name(set, template, ordinal)),
        );
        claim.set(&["metadata", "namespace"], json!(set.namespace()));
        let labels = claim
            .get(&["metadata", "labels"])
            .and_then(Value::as_object);
        let mut labels: Map<String, Value> = labels.cloned().unwrap_or_default();
        labels.extend(
            selected
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        if !labels.is_empty() {
            claim.set(&["metadata", "labels"], Value::Object(labels));
        }
        Some(claim)
    };
    claim_templates(set).iter().filter_map(build).collect()
}

/// Whose deletion takes a claim along: (the set's, the pod's).
/// Kubernetes: updateClaimOwnerRefForSetAndPod.
fn owners_wanted(set: &Object, ordinal: i64) -> (bool, bool) {
    let policy = |when: &str| {
        let path = ["spec", "persistentVolumeClaimRetentionPolicy", when];
        set.str_at(&path) == "Delete"
    };
    let (deleted, scaled) = (policy("whenDeleted"), policy("whenScaled"));
    let goes_with_pod = scaled && !in_range(set, ordinal);
    (deleted && !goes_with_pod, goes_with_pod)
}

/// The owners that a claim is to have, if it has others: (name, unique id) is the pod's.
pub(super) fn owners(
    set: &Object,
    ordinal: i64,
    (pod_name, pod_uid): (&str, &str),
    claim: &Object,
) -> Option<Value> {
    let before = claim.get(&["metadata", "ownerReferences"]);
    let before = before
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let (by_set, by_pod) = owners_wanted(set, ordinal);
    let mut after = before.clone();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": pod_uid});
    let of_set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name(), "uid": set.uid()});
    for (wanted, owner) in [(by_set, of_set), (by_pod, pod)] {
        let is = |other: &Value| other.get("uid") == owner.get("uid");
        let there = after.iter().any(is);
        if there && !wanted {
            after.retain(|other| !is(other));
        } else if wanted && !there && owner.get("uid") != Some(&json!("")) {
            after.push(owner);
        }
    }
    (after != before).then_some(Value::Array(after))
}

/// Whether a claim is on its way out with a former pod of this name: a new one must not take it.
pub(super) fn is_stale(set: &Object, pod_name: &str, claim: &Object) -> bool {
    let path = ["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"];
    if set.str_at(&path) != "Delete" {
        return false;
    }
    let owners = claim.get(&["metadata", "ownerReferences"]);
    let mut owners = owners.and_then(Value::as_array).into_iter().flatten();
    owners.any(|owner| owner.get("name").and_then(Value::as_str) == Some(pod_name))
}
