//! The pods of a Job: how they look, and how they lose the finalizer that says they are not counted.
//! Kubernetes: `pkg/controller/job/job_controller.go` manageJob, removeTrackingFinalizerFromPods;
//! `indexed_job_utils.go`.

use super::super::pod_control;
use super::JOB;
use super::view::{View, facts, failures_after, has_limit_per_index};
use crate::client::{ClientError, PatchKind};
use crate::controllers::def::Context;
use crate::controllers::job_facts::{INDEX, INDEX_FAILURES, INDEX_IGNORED, TRACKING};
use crate::controllers::members::Member;
use crate::meta::Object;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The variable that tells a container its index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Longest start of a name that is completed by the server (bytes). Kubernetes:
/// MaxGeneratedNameLength.
const GENERATE_NAME_MAX_BYTES: usize = 58;

/// The pod that all pods of a Job are like.
pub(super) fn template(job: &Object) -> Value {
    let template = job.get(&["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = pod_control::pod_of_template(&template, job, JOB.owner_reference(job));
    if let Some(metadata) = map(&mut pod, "metadata") {
        let finalizers = metadata
            .entry("finalizers")
            .or_insert_with(|| json!([]))
            .as_array_mut();
        if let Some(finalizers) = finalizers
            && !finalizers.contains(&json!(TRACKING))
        {
            finalizers.push(json!(TRACKING));
        }
    }
    if job.str_at(&["spec", "completionMode"]) == "Indexed"
        && let Some(spec) = map(&mut pod, "spec")
    {
        for list in ["initContainers", "containers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(tell_index);
        }
    }
    pod
}

/// Gives a container the variable, unless it has one of that name.
fn tell_index(container: &mut Value) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    let env = container.entry("env").or_insert_with(|| json!([]));
    let Some(env) = env.as_array_mut() else {
        return;
    };
    if env.iter().any(|one| one["name"] == INDEX_VARIABLE) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    env.push(json!({
        "name": INDEX_VARIABLE,
        "valueFrom": {"fieldRef": {"fieldPath": path}},
    }));
}

fn map<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    value.get_mut(field).and_then(Value::as_object_mut)
}

/// The pod of an index, or of none.
pub(super) fn pod(view: &View<'_>, template: &Value, index: Option<u32>) -> Value {
    let mut pod = template.clone();
    let Some(index) = index else {
        return pod;
    };
    let job = view.job;
    if let Some(spec) = map(&mut pod, "spec") {
        spec.insert(
            "hostname".to_owned(),
            json!(format!("{}-{index}", job.name())),
        );
    }
    let Some(metadata) = map(&mut pod, "metadata") else {
        return pod;
    };
    metadata.insert(
        "generateName".to_owned(),
        json!(generate_name(job.name(), index)),
    );
    let mut put = |map: &str, key: &str, value: i64| {
        let entries = metadata.entry(map).or_insert_with(|| json!({}));
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key.to_owned(), json!(value.to_string()));
        }
    };
    put("annotations", INDEX, i64::from(index));
    put("labels", INDEX, i64::from(index));
    if has_limit_per_index(job) {
        let replaced = view.last_failed.get(&index).map(|pod| &**pod);
        let (counted, ignored) = failures_after(job, replaced);
        put("annotations", INDEX_FAILURES, counted);
        if ignored > 0 {
            put("annotations", INDEX_IGNORED, ignored);
        }
    }
    pod
}

fn generate_name(job: &str, index: u32) -> String {
    let end = format!("-{index}-");
    let most = GENERATE_NAME_MAX_BYTES.saturating_sub(end.len());
    let start = job.get(..most).unwrap_or(job);
    format!("{start}{end}")
}

/// Takes the finalizer off pods, all at a time. Answers, when the members know it, which of them
/// have it no more.
pub(super) async fn untrack(
    context: &Context,
    pods: &[Arc<Member>],
) -> (Vec<Arc<Member>>, Result<(), ClientError>) {
    let resource = pod_control::pods();
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING]}});
    let mut without = Vec::with_capacity(pods.len());
    let mut outcome = Ok(());
    for pods in pods.chunks(pod_control::BURST_PODS) {
        let patched = pods.iter().map(async |pod| {
            if !facts(pod).tracked {
                return Ok(());
            }
            let at = (pod.key.namespace.as_str(), pod.key.name.as_str());
            let kind = PatchKind::Strategic;
            let patched = context
                .client
                .patch::<IgnoredAny>(&resource, at, "", kind, &patch);
            match patched.await {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            }
        });
        let patched = futures::future::join_all(patched).await;
        for (patched, pod) in patched.into_iter().zip(pods) {
            match patched {
                Ok(()) => without.push(pod.clone()),
                Err(error) => outcome = Err(error),
            }
        }
    }
    let members = &context.caches.pods;
    members.until(&without, |now| !facts(now).tracked).await;
    (without, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::workloads::job::backoff::Failures;

    #[test]
    fn the_pod_of_an_index_knows_it() {
        let job = Object::from_value(json!({
            "metadata": {"name": "j", "namespace": "n", "uid": "u"},
            "spec": {
                "completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1,
                "template": {
                    "metadata": {"labels": {"job-name": "j"}},
                    "spec": {"containers": [{"name": "a"}, {"name": "b", "env": [{"name": INDEX_VARIABLE}]}]},
                },
            },
        }))
        .unwrap();
        let view = View::new(&job, Vec::new(), Failures::default());
        let pod = pod(&view, &template(&job), Some(2));
        assert_eq!(
            pod,
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "generateName": "j-2-",
                    "labels": {"job-name": "j", INDEX: "2"},
                    "annotations": {INDEX: "2", INDEX_FAILURES: "0"},
                    "finalizers": [TRACKING],
                    "ownerReferences": [{
                        "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u",
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": {
                    "hostname": "j-2",
                    "containers": [
                        {"name": "a", "env": [{"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {
                            "fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}}}]},
                        {"name": "b", "env": [{"name": INDEX_VARIABLE}]},
                    ],
                },
            })
        );
        let long = "j".repeat(63);
        assert_eq!(generate_name(&long, 10), format!("{}-10-", "j".repeat(54)));
    }
}
