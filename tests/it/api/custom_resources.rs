//! Kinds that users bring: their definitions' lives, and what is served of them.

use super::harness::{Cluster, Frames};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use wkube::api::Limits;
use wkube::stdx::Clock;
use wkube::store::{MemoryStore, Store, StoreOptions};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CERTIFICATES: &str = "/apis/pki.example.org/v1/namespaces/default/certificates";
const GADGETS: &str = "/apis/example.com/v1/namespaces/default/gadgets";

/// A definition in the shape of one that is met in the field.
fn certificates() -> Value {
    serde_json::from_str(include_str!("../../golden/custom/certificates.json")).unwrap()
}

/// A small one: two versions, status, scale.
pub(super) fn gadgets() -> Value {
    serde_json::from_str(include_str!("../../golden/custom/gadgets.json")).unwrap()
}

/// Creates a definition and waits until its objects are served.
pub(super) async fn established(cluster: &Cluster, definition: &Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap();
    cluster.post(DEFINITIONS, definition).await.expect(201);
    let uri = format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3D{name}");
    until(&mut cluster.watch(&uri).await, |object| {
        condition(object, "Established")["status"] == "True"
    })
    .await
}

/// The object of the first event for which something holds.
async fn until(watch: &mut Frames, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = watch.next().await.expect("the watch has ended");
        if holds(&frame["object"]) {
            return frame["object"].clone();
        }
    }
}

async fn until_deleted(watch: &mut Frames) {
    while watch.next().await.expect("the watch has ended")["type"] != "DELETED" {}
}

fn condition(object: &Value, name: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    found.cloned().unwrap_or_default()
}

fn certificate(name: &str) -> Value {
    json!({
        "apiVersion": "pki.example.org/v1", "kind": "Certificate",
        "metadata": {"name": name},
        "spec": {"secretName": "tls", "issuerRef": {"name": "ca"}},
    })
}

fn gadget(version: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("example.com/{version}"), "kind": "Gadget",
        "metadata": {"name": name}, "spec": spec,
    })
}

#[tokio::test]
async fn a_definition_is_established_and_its_objects_are_served_at_once() {
    let cluster = Cluster::start().await;
    cluster.get(CERTIFICATES).await.expect(404);
    let definition = established(&cluster, &certificates()).await;
    assert_eq!(
        definition["status"]["acceptedNames"]["plural"],
        "certificates"
    );
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    let names = condition(&definition, "NamesAccepted");
    assert_eq!(names["reason"], "NoConflicts");
    let made = cluster
        .post(CERTIFICATES, &certificate("web"))
        .await
        .expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["spec"]["duration"], "2160h");
    assert_eq!(made["spec"]["issuerRef"]["kind"], "Issuer");
    let resources = cluster.get("/apis/pki.example.org/v1").await.expect(200);
    assert_eq!(
        resources["resources"][0]["shortNames"],
        json!(["cert", "certs"])
    );
    assert_eq!(resources["resources"][1]["name"], "certificates/status");
}

#[tokio::test]
async fn wrong_objects_are_refused_in_kubernetes_words() {
    let cluster = Cluster::start().await;
    established(&cluster, &certificates()).await;
    let mut wrong = certificate("bad");
    wrong["spec"] = json!({
        "secretName": "", "dnsNames": ["a", "a"], "issuerRef": {}, "oops": 1,
        "privateKey": {"algorithm": "X", "size": "1"},
    });
    let strict = format!("{CERTIFICATES}?fieldValidation=Strict");
    assert_eq!(
        cluster.post(&strict, &wrong).await.message(400),
        "Certificate in version \"v1\" cannot be handled as a Certificate: strict decoding error: \
         unknown field \"spec.oops\""
    );
    let answer = cluster.post(CERTIFICATES, &wrong).await;
    let warning = "299 - \"unknown field \\\"spec.oops\\\"\"";
    assert_eq!(answer.warnings(), [warning]);
    let words = [
        "spec.issuerRef.name: Required value",
        "spec.privateKey.algorithm: Unsupported value: \"X\": supported values: \"RSA\", \"ECDSA\", \
         \"Ed25519\"",
        "spec.privateKey.size: Invalid value: \"string\": spec.privateKey.size in body must be of \
         type integer: \"string\"",
        "spec.secretName: Invalid value: \"\": spec.secretName in body should be at least 1 chars long",
        "spec.dnsNames[1]: Duplicate value: \"a\"",
    ];
    let wanted = format!(
        "Certificate.pki.example.org \"bad\" is invalid: [{}]",
        words.join(", ")
    );
    assert_eq!(answer.message(422), wanted);
    let mut mislabeled = certificate("bad");
    mislabeled["metadata"]["labels"] = json!({"a": 1});
    assert_eq!(
        cluster.post(CERTIFICATES, &mislabeled).await.message(400),
        "Certificate in version \"v1\" cannot be handled as a Certificate: json: cannot unmarshal \
         number into Go struct field ObjectMeta.labels of type string"
    );
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let cluster = Cluster::start().await;
    established(&cluster, &certificates()).await;
    let one = format!("{CERTIFICATES}/web");
    let mut object = certificate("web");
    object["status"] = json!({"notAfter": "2026-01-01T00:00:00Z"});
    let made = cluster.post(CERTIFICATES, &object).await.expect(201);
    assert_eq!(made.get("status"), None);
    let both = json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {"secretName": "other"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let status = format!("{one}/status");
    let told = cluster
        .patch(&status, "merge-patch+json", &both)
        .await
        .expect(200);
    assert_eq!(told["spec"]["secretName"], "tls");
    assert_eq!(told["metadata"].get("labels"), None);
    assert_eq!(told["metadata"]["generation"], 1);
    assert_eq!(condition(&told, "Ready")["status"], "True");
    let asked = cluster
        .patch(&one, "merge-patch+json", &both)
        .await
        .expect(200);
    assert_eq!(asked["metadata"]["generation"], 2);
    assert_eq!(asked["spec"]["secretName"], "other");
    let wrong = json!({"status": {"conditions": [{"type": "Ready", "status": "Maybe"}]}});
    assert_eq!(
        cluster
            .patch(&status, "merge-patch+json", &wrong)
            .await
            .message(422),
        "Certificate.pki.example.org \"web\" is invalid: status.conditions[0].status: Unsupported \
         value: \"Maybe\": supported values: \"True\", \"False\", \"Unknown\""
    );
    let mut unversioned = asked.clone();
    unversioned["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let refused = cluster.put(&one, &unversioned).await.message(422);
    assert!(
        refused.ends_with(
            "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        )
    );
}

#[tokio::test]
async fn a_scale_is_where_the_definition_says() {
    let cluster = Cluster::start().await;
    established(&cluster, &gadgets()).await;
    let spec = json!({"size": 1, "parts": {"wanted": 3}});
    cluster
        .post(GADGETS, &gadget("v1", "g", spec))
        .await
        .expect(201);
    let one = format!("{GADGETS}/g");
    let status = json!({"status": {"there": 2, "select": "a=b"}});
    let uri = format!("{one}/status");
    cluster
        .patch(&uri, "merge-patch+json", &status)
        .await
        .expect(200);
    let uri = format!("{one}/scale");
    let scale = cluster.get(&uri).await.expect(200);
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["spec"], json!({"replicas": 3}));
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "a=b"}));
    let more = json!({"spec": {"replicas": 5}});
    let scaled = cluster
        .patch(&uri, "merge-patch+json", &more)
        .await
        .expect(200);
    assert_eq!(scaled["spec"]["replicas"], 5);
    let object = cluster.get(&one).await.expect(200);
    assert_eq!(object["spec"]["parts"]["wanted"], 5);
    assert_eq!(object["metadata"]["generation"], 2);
    cluster
        .post(GADGETS, &gadget("v1", "none", json!({"size": 1})))
        .await
        .expect(201);
    let none = cluster
        .get(&format!("{GADGETS}/none/scale"))
        .await
        .message(500);
    assert_eq!(
        none,
        "Internal error occurred: the spec replicas field \".spec.parts.wanted\" does not exist"
    );
}

#[tokio::test]
async fn versions_are_views_of_one_object() {
    let cluster = Cluster::start().await;
    established(&cluster, &gadgets()).await;
    let old = "/apis/example.com/v1alpha1/namespaces/default/gadgets";
    let watching = cluster.get(old).await.expect(200);
    let revision = watching["metadata"]["resourceVersion"].as_str().unwrap();
    let mut seen_old = cluster
        .watch(&format!("{old}?watch=1&resourceVersion={revision}"))
        .await;
    let mut seen = cluster
        .watch(&format!("{GADGETS}?watch=1&resourceVersion={revision}"))
        .await;
    let spec = json!({"size": 1, "parts": {"wanted": 1}, "gone": "x"});
    let posted = cluster.post(old, &gadget("v1alpha1", "g", spec)).await;
    let warning = "299 - \"example.com/v1alpha1 Gadget is deprecated; use example.com/v1 Gadget\"";
    assert!(
        posted.warnings().contains(&warning.to_owned()),
        "{:?}",
        posted.warnings()
    );
    let made = posted.expect(201);
    // Its own version has no parts, and the stored one has nothing that goes.
    assert_eq!(made["spec"], json!({"size": 1, "color": "grey"}));
    let new = cluster.get(&format!("{GADGETS}/g")).await.expect(200);
    assert_eq!(new["apiVersion"], "example.com/v1");
    assert_eq!(new["spec"], json!({"size": 1, "label": "plain"}));
    assert_eq!(new["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(seen_old.next().await.unwrap()["object"], made);
    assert_eq!(seen.next().await.unwrap()["object"], new);
    let (first, second) = (&made["metadata"], &new["metadata"]);
    assert_eq!(first["resourceVersion"], second["resourceVersion"]);
}

#[tokio::test]
async fn names_conflict_until_the_other_goes() {
    let cluster = Cluster::start().await;
    established(&cluster, &gadgets()).await;
    let mut other = gadgets();
    other["metadata"]["name"] = json!("widgets.example.com");
    other["spec"]["names"] = json!({"kind": "Gadget", "listKind": "WidgetList",
        "plural": "widgets", "singular": "widget", "shortNames": ["gd"]});
    cluster.post(DEFINITIONS, &other).await.expect(201);
    let uri = format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3Dwidgets.example.com");
    let mut watch = cluster.watch(&uri).await;
    let refused = until(&mut watch, |o| condition(o, "NamesAccepted") != Value::Null).await;
    let names = condition(&refused, "NamesAccepted");
    assert_eq!(names["status"], "False");
    assert_eq!(names["reason"], "KindConflict");
    assert_eq!(names["message"], "\"Gadget\" is already in use");
    assert_eq!(condition(&refused, "Established")["reason"], "NotAccepted");
    cluster
        .get("/apis/example.com/v1/namespaces/default/widgets")
        .await
        .expect(404);
    cluster
        .delete(&format!("{DEFINITIONS}/gadgets.example.com"))
        .await
        .expect(200);
    until(&mut watch, |o| {
        condition(o, "Established")["status"] == "True"
    })
    .await;
    cluster
        .get("/apis/example.com/v1/namespaces/default/widgets")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_definition_goes_after_its_objects() {
    let cluster = Cluster::start().await;
    established(&cluster, &gadgets()).await;
    let mut held = gadget("v1", "held", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.post(GADGETS, &held).await.expect(201);
    cluster
        .post(GADGETS, &gadget("v1", "free", json!({"size": 1})))
        .await
        .expect(201);
    let name = "gadgets.example.com";
    let mut objects = cluster.watch(&format!("{GADGETS}?watch=1")).await;
    assert_eq!(objects.brief().await, "ADDED free");
    assert_eq!(objects.brief().await, "ADDED held");
    let uri = format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3D{name}");
    let mut watch = cluster.watch(&uri).await;
    let deleting = cluster
        .delete(&format!("{DEFINITIONS}/{name}"))
        .await
        .expect(200);
    assert_eq!(
        condition(&deleting, "Terminating")["reason"],
        "InstanceDeletionPending"
    );
    let going = |o: &Value| condition(o, "Terminating")["reason"] == "InstanceDeletionInProgress";
    until(&mut watch, going).await;
    let mut gone = vec![objects.brief().await, objects.brief().await];
    gone.sort();
    assert_eq!(gone, ["DELETED free", "MODIFIED held"]);
    assert_eq!(
        cluster
            .post(GADGETS, &gadget("v1", "new", json!({"size": 1})))
            .await
            .message(403),
        "gadgets.example.com \"new\" is forbidden: create not allowed while custom resource \
         definition is terminating"
    );
    let free = json!({"metadata": {"finalizers": null}});
    let one = format!("{GADGETS}/held");
    cluster
        .patch(&one, "merge-patch+json", &free)
        .await
        .expect(200);
    until_deleted(&mut watch).await;
    assert_eq!(objects.brief().await, "DELETED held");
    assert_eq!(objects.next().await, None);
    cluster.get(GADGETS).await.expect(404);
    let groups = cluster.get("/apis").await.expect(200);
    assert!(!groups.to_string().contains("example.com"));
}

#[tokio::test]
async fn a_restart_serves_from_the_first_request_on() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(StoreOptions::default()));
    let cluster = Cluster::on(store.clone(), Limits::default(), Clock::real()).await;
    established(&cluster, &gadgets()).await;
    cluster
        .post(GADGETS, &gadget("v1", "g", json!({"size": 1})))
        .await
        .expect(201);
    cluster.server.close();
    drop(cluster);
    let cluster = Cluster::on(store, Limits::default(), Clock::real()).await;
    let found = cluster.get(&format!("{GADGETS}/g")).await.expect(200);
    assert_eq!(found["spec"]["size"], 1);
}

#[tokio::test]
async fn a_new_schema_is_in_force_for_what_is_stored() {
    let cluster = Cluster::start().await;
    let definition = established(&cluster, &gadgets()).await;
    cluster
        .post(GADGETS, &gadget("v1", "g", json!({"size": 1})))
        .await
        .expect(201);
    let mut watch = cluster.watch(&format!("{GADGETS}?watch=1")).await;
    assert_eq!(watch.brief().await, "ADDED g");
    let index = cluster.get("/openapi/v3").await.expect(200);
    let address = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].clone();
    let document = cluster.get(address.as_str().unwrap()).await.expect(200);
    let schemas = &document["components"]["schemas"];
    assert!(
        schemas["com.example.v1.Gadget"]["properties"]["spec"]["properties"]["size"].is_object()
    );
    // What every object has is described in one way, custom or not.
    let (custom, built_in) = (
        &schemas["com.example.v1.Gadget"]["properties"]["apiVersion"],
        &cluster.get("/openapi/v3/api/v1").await.expect(200)["components"]["schemas"]["io.k8s.api.core.v1.Pod"]
            ["properties"]["apiVersion"],
    );
    assert!(custom["description"].is_string());
    assert_eq!(custom, built_in);
    let add = json!([
        {"op": "test", "path": "/spec/versions/0/name", "value": "v1"},
        {"op": "add",
         "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/more",
         "value": {"type": "string", "default": "yes"}},
    ]);
    let uri = format!("{DEFINITIONS}/gadgets.example.com");
    let changed = cluster
        .patch(&uri, "json-patch+json", &add)
        .await
        .expect(200);
    assert_eq!(definition["metadata"]["generation"], 1);
    assert_eq!(changed["metadata"]["generation"], 2);
    // Who watched what is no longer so lists anew.
    assert_eq!(watch.next().await, None);
    let found = cluster.get(&format!("{GADGETS}/g")).await.expect(200);
    assert_eq!(found["spec"]["more"], "yes");
    let index = cluster.get("/openapi/v3").await.expect(200);
    assert_ne!(
        index["paths"]["apis/example.com/v1"]["serverRelativeURL"],
        address
    );
}

#[tokio::test]
async fn clients_ask_in_their_own_ways() {
    let cluster = Cluster::start().await;
    established(&cluster, &certificates()).await;
    cluster
        .post(CERTIFICATES, &certificate("web"))
        .await
        .expect(201);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = cluster.get_as(CERTIFICATES, table).await.expect(200);
    let names: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Name", "Ready", "Secret", "Issuer", "Age"]);
    let cells = &table["rows"][0]["cells"];
    assert_eq!(cells[0], "web");
    assert_eq!(cells[1], Value::Null);
    assert_eq!(cells[3], "ca");
    let chosen = |name: &str| format!("{CERTIFICATES}?fieldSelector=spec.issuerRef.name%3D{name}");
    let list = cluster.get(&chosen("ca")).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let list = cluster.get(&chosen("cb")).await.expect(200);
    assert_eq!(list["items"], json!([]));
    let protobuf = "application/vnd.kubernetes.protobuf";
    cluster.get_as(CERTIFICATES, protobuf).await.expect(406);
    let headers = [("content-type", protobuf)];
    let refused = cluster
        .call(Method::POST, CERTIFICATES, &headers, "x")
        .await;
    refused.expect(415);
    let partial = format!("{protobuf};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    let metadata = cluster.get_as(CERTIFICATES, &partial).await;
    assert_eq!(metadata.status, 200);
    assert!(metadata.bytes.starts_with(b"k8s\0"));
}

#[tokio::test]
async fn an_apply_owns_items_as_the_schema_says() {
    let cluster = Cluster::start().await;
    established(&cluster, &certificates()).await;
    let apply = async |manager: &str, names: Value| {
        let mut object = certificate("web");
        object["spec"]["dnsNames"] = names;
        let uri = format!("{CERTIFICATES}/web?fieldManager={manager}");
        cluster.patch(&uri, "apply-patch+yaml", &object).await
    };
    apply("one", json!(["a"])).await.expect(201);
    let both = apply("two", json!(["b"])).await.expect(200);
    assert_eq!(both["spec"]["dnsNames"], json!(["a", "b"]));
    let first = apply("one", json!([])).await.expect(200);
    assert_eq!(first["spec"]["dnsNames"], json!(["b"]));
}

#[tokio::test]
async fn the_garbage_collector_follows_kinds_that_come() {
    let cluster = Cluster::start().await;
    let controllers = cluster.controllers();
    assert!(controllers.ready().await);
    established(&cluster, &gadgets()).await;
    let spec = json!({"size": 1});
    let owner = cluster
        .post(GADGETS, &gadget("v1", "owner", spec.clone()))
        .await
        .expect(201);
    let reference = json!([{"apiVersion": "example.com/v1", "kind": "Gadget", "name": "owner",
        "uid": owner["metadata"]["uid"]}]);
    let mut owned = gadget("v1", "owned", spec);
    owned["metadata"]["ownerReferences"] = reference.clone();
    cluster.post(GADGETS, &owned).await.expect(201);
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"metadata": {"name": "owned", "ownerReferences": reference}});
    cluster.post(maps, &map).await.expect(201);
    let of = "fieldSelector=metadata.name%3Downed";
    let mut watch = cluster.watch(&format!("{maps}?watch=1&{of}")).await;
    let mut custom = cluster.watch(&format!("{GADGETS}?watch=1&{of}")).await;
    cluster
        .delete(&format!("{GADGETS}/owner"))
        .await
        .expect(200);
    until_deleted(&mut watch).await;
    until_deleted(&mut custom).await;
}

#[tokio::test]
async fn quotas_count_them() {
    let cluster = Cluster::start().await;
    established(&cluster, &gadgets()).await;
    let quota =
        json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/gadgets.example.com": "1"}}});
    let uri = "/api/v1/namespaces/default/resourcequotas";
    cluster.post(uri, &quota).await.expect(201);
    let mut watch = cluster.watch(&format!("{uri}?watch=1")).await;
    let controllers = cluster.controllers();
    assert!(controllers.ready().await);
    until(&mut watch, |quota| quota["status"]["hard"].is_object()).await;
    cluster
        .post(GADGETS, &gadget("v1", "a", json!({"size": 1})))
        .await
        .expect(201);
    assert_eq!(
        cluster
            .post(GADGETS, &gadget("v1", "b", json!({"size": 1})))
            .await
            .message(403),
        "gadgets.example.com \"b\" is forbidden: exceeded quota: q, requested: \
         count/gadgets.example.com=1, used: count/gadgets.example.com=1, limited: \
         count/gadgets.example.com=1"
    );
}
