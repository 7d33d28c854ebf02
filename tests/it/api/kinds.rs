//! What single kinds do through the API beyond what holds for every row.

use super::harness::Cluster;
use serde_json::json;

const BATCH: &str = "/apis/batch/v1/namespaces/default";
const SCALERS: &str = "namespaces/default/horizontalpodautoscalers";

#[tokio::test]
async fn a_job_selects_by_its_uid_and_leaves_its_pods() {
    let cluster = Cluster::start().await;
    let pods =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": pods}});
    let job = cluster
        .post(&format!("{BATCH}/jobs"), &job)
        .await
        .expect(201);
    let uid = &job["metadata"]["uid"];
    let label = "batch.kubernetes.io/controller-uid";
    assert_eq!(&job["spec"]["selector"]["matchLabels"][label], uid);
    assert_eq!(
        &job["spec"]["template"]["metadata"]["labels"]["controller-uid"],
        uid
    );
    assert_eq!(job["metadata"]["labels"]["job-name"], "j");
    let uri = format!("{BATCH}/jobs/j");
    let deleted = cluster.delete(&uri).await;
    assert_eq!(
        deleted.warnings(),
        [
            "299 - \"child pods are preserved by default when jobs are deleted; set \
             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to \
             suppress this warning\""
        ]
    );
    assert_eq!(
        deleted.expect(200)["metadata"]["finalizers"],
        json!(["orphan"])
    );
    // Asked for by name, it goes at once and nothing is warned of.
    let asked = cluster
        .delete(&format!("{uri}?propagationPolicy=Background"))
        .await;
    assert!(asked.warnings().is_empty());
    asked.expect(200);
    cluster.get(&uri).await.expect(404);
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_two_views() {
    let cluster = Cluster::start().await;
    let (old, new) = (
        format!("/apis/autoscaling/v1/{SCALERS}"),
        format!("/apis/autoscaling/v2/{SCALERS}"),
    );
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let scaler = json!({"metadata": {"name": "h"}, "spec": {
        "scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}});
    let made = cluster.post(&old, &scaler).await.expect(201);
    let seen = cluster.get(&format!("{new}/h")).await.expect(200);
    assert_eq!(seen["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(
        seen["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        50
    );
    let more = json!([{"op": "add", "path": "/spec/metrics/-", "value": {
        "type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}}}}]);
    let uri = format!("{new}/h");
    cluster
        .patch(&uri, "json-patch+json", &more)
        .await
        .expect(200);
    let seen = cluster.get(&format!("{old}/h")).await.expect(200);
    assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(
        seen["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"],
        r#"[{"pods":{"metricName":"m","targetAverageValue":"5"},"type":"Pods"}]"#
    );
    // Written back as it is, nothing has changed.
    let same = cluster.put(&format!("{old}/h"), &seen).await.expect(200);
    assert_eq!(
        same["metadata"]["resourceVersion"],
        seen["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn an_old_cron_job_is_the_new_one() {
    let cluster = Cluster::start().await;
    let pods =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let cron = json!({"metadata": {"name": "c"}, "spec": {"schedule": "@daily",
        "jobTemplate": {"spec": {"template": pods}}}});
    let old = "/apis/batch/v1beta1/namespaces/default/cronjobs";
    let made = cluster.post(old, &cron).await;
    assert_eq!(
        made.warnings(),
        [
            "299 - \"batch/v1beta1 CronJob is deprecated in v1.21+, unavailable in v1.25+; use \
             batch/v1 CronJob\""
        ]
    );
    let made = made.expect(201);
    let seen = cluster
        .get(&format!("{BATCH}/cronjobs/c"))
        .await
        .expect(200);
    assert_eq!(seen["apiVersion"], "batch/v1");
    assert_eq!(seen["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(seen["spec"], made["spec"]);
}

#[tokio::test]
async fn what_is_not_in_force_is_told() {
    let cluster = Cluster::start().await;
    let definition = json!({"metadata": {"name": "foos.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"kind": "Foo", "plural": "foos"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}],
        "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://example.com/convert"}}}}});
    let uri = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = cluster.post(uri, &definition).await;
    let warnings = answer.warnings();
    assert!(warnings[0].contains("not in force yet"), "{warnings:?}");
    let made = answer.expect(201);
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    let schema = &made["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(schema["properties"]["a"]["type"], "string");
    let binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    let uri = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    let warnings = cluster.post(uri, &binding).await.warnings();
    assert!(warnings[0].contains("not in force yet"), "{warnings:?}");
}
