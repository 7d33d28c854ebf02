//! Versions that Kubernetes has retired: other views of stored objects, with a warning.

use super::harness::Cluster;
use serde_json::{Value, json};

const OLD: &str = "/apis/extensions/v1beta1/namespaces/default/ingresses";
const MIDDLE: &str = "/apis/networking.k8s.io/v1beta1/namespaces/default/ingresses";
const NEW: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";

fn old(port: Value) -> Value {
    json!({
        "apiVersion": "extensions/v1beta1",
        "kind": "Ingress",
        "metadata": {"name": "echo"},
        "spec": {"rules": [{"host": "test.host", "http": {"paths": [
            {"path": "/", "backend": {"serviceName": "echo", "servicePort": port}},
        ]}}]},
    })
}

#[tokio::test]
async fn an_ingress_is_one_object_in_three_views() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{NEW}?watch=1")).await;
    let mut watch_old = cluster.watch(&format!("{OLD}?watch=1")).await;
    let answer = cluster.post(OLD, &old(json!(80))).await;
    assert_eq!(
        answer.warnings(),
        [
            "299 - \"extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; \
             use networking.k8s.io/v1 Ingress\""
        ]
    );
    let created = answer.expect(201);
    let path = |object: &Value| object["spec"]["rules"][0]["http"]["paths"][0].clone();
    assert_eq!(path(&created)["pathType"], "ImplementationSpecific");
    let new = cluster.get(&format!("{NEW}/echo")).await;
    assert!(new.warnings().is_empty());
    let new = new.expect(200);
    assert_eq!(new["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(new["apiVersion"], "networking.k8s.io/v1");
    let service = json!({"name": "echo", "port": {"number": 80}});
    assert_eq!(path(&new)["backend"]["service"], service);
    let frame = watch.next().await.unwrap();
    assert_eq!(frame["object"], new);
    let frame = watch_old.next().await.unwrap();
    assert_eq!(frame["object"], created);

    // A change through one view is seen through the others.
    let patch = json!([{"op": "replace", "path": "/spec/rules/0/http/paths/0/backend/service/port",
        "value": {"name": "http"}}]);
    let uri = format!("{NEW}/echo");
    cluster
        .patch(&uri, "json-patch+json", &patch)
        .await
        .expect(200);
    let frame = watch_old.next().await.unwrap();
    assert_eq!(frame["type"], "MODIFIED");
    assert_eq!(path(&frame["object"])["backend"]["servicePort"], "http");
    let middle = cluster.get(MIDDLE).await;
    assert!(
        middle.warnings()[0].contains("networking.k8s.io/v1beta1 Ingress is deprecated in v1.19+")
    );
    let middle = middle.expect(200);
    assert_eq!(middle["items"].as_array().unwrap().len(), 1);
    assert_eq!(middle["items"][0]["metadata"]["generation"], 2);

    cluster.delete(&format!("{OLD}/echo")).await.expect(200);
    assert_eq!(watch.brief().await, "MODIFIED echo");
    assert_eq!(watch.brief().await, "DELETED echo");
    let wrong = cluster.post(OLD, &old(json!(0))).await;
    assert_eq!(
        wrong.message(422),
        "Ingress.extensions \"echo\" is invalid: spec.rules[0].http.paths[0].backend: Required \
         value: port name or number is required"
    );
}

#[tokio::test]
async fn the_old_group_is_the_last() {
    let cluster = Cluster::start().await;
    let groups = cluster.get("/apis").await.expect(200);
    let groups = groups["groups"].as_array().unwrap();
    assert_eq!(groups.last().unwrap()["name"], "extensions");
    let networking = groups
        .iter()
        .find(|g| g["name"] == "networking.k8s.io")
        .unwrap();
    assert_eq!(networking["preferredVersion"]["version"], "v1");
    assert_eq!(networking["versions"][1]["version"], "v1beta1");
}
