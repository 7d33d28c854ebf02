//! Every row of the table through every verb: what holds for one kind holds for all.

use super::harness::{Cluster, collect};
use http::Method;
use serde_json::{Value, json};
use wkube::api::Body;
use wkube::resources::{BUILTINS, ResourceDef};

pub(super) fn stored() -> impl Iterator<Item = &'static ResourceDef> {
    BUILTINS
        .iter()
        .copied()
        .filter(|def| !def.storage_prefix.is_empty())
}

/// The collection's path, in the namespace `default` where there are namespaces.
pub(super) fn path(def: &ResourceDef) -> String {
    let group = if def.group.is_empty() {
        format!("/api/{}", def.version)
    } else {
        format!("/apis/{}/{}", def.group, def.version)
    };
    if def.is_namespaced() {
        format!("{group}/namespaces/default/{}", def.plural)
    } else {
        format!("{group}/{}", def.plural)
    }
}

pub(super) fn row_name(def: &ResourceDef) -> String {
    // The names of some say what they are.
    match &*def.kind {
        "IPAddress" => return "192.0.2.9".to_owned(),
        "APIService" => return "v1.example.com".to_owned(),
        "CustomResourceDefinition" => return "foos.example.com".to_owned(),
        _ => {}
    }
    let group = def.group.replace('.', "-");
    format!("row-{}-{}-{group}", def.singular, def.version)
        .trim_end_matches('-')
        .to_owned()
}

/// The labels that the test has put there.
fn labels(object: &Value) -> Value {
    let mut labels = object["metadata"]["labels"].clone();
    if let Some(map) = labels.as_object_mut() {
        map.remove("kubernetes.io/metadata.name");
    }
    labels
}

pub(super) fn example(def: &ResourceDef, name: &str) -> Value {
    let mut object: Value = serde_json::from_str(&def.example).unwrap();
    object["metadata"]["name"] = json!(name);
    object
}

#[tokio::test]
async fn every_resource_is_created_read_listed_and_shown_as_a_table() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let (uri, name) = (path(def), row_name(def));
        let created = cluster.post(&uri, &example(def, &name)).await.expect(201);
        assert_eq!(created["kind"], json!(def.kind), "{uri}");
        assert_eq!(created["apiVersion"], json!(def.api_version()));
        assert!(!created["metadata"]["uid"].as_str().unwrap().is_empty());
        assert!(created["metadata"]["creationTimestamp"].is_string());
        let read = cluster.get(&format!("{uri}/{name}")).await.expect(200);
        assert_eq!(read, created);

        let list = cluster.get(&uri).await.expect(200);
        assert_eq!(list["kind"], json!(def.list_kind));
        let revision: u64 = list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(revision > 0);
        let items = list["items"].as_array().unwrap();
        let item = items
            .iter()
            .find(|item| item["metadata"]["name"] == json!(name))
            .unwrap();
        assert!(item.get("kind").is_none());
        assert_eq!(item["metadata"], created["metadata"]);

        let table = cluster
            .get_as(&uri, "application/json;as=Table;v=v1;g=meta.k8s.io")
            .await
            .expect(200);
        assert_eq!(table["kind"], "Table");
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        assert_eq!(columns, def.columns.len());
        for row in table["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{uri}");
            assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
        }
        let again = cluster.post(&uri, &example(def, &name)).await;
        let message = again.message(409);
        let words = format!("{} {name:?} already exists", def.group_resource());
        assert_eq!(message, words);
    }
}

#[tokio::test]
async fn every_resource_refuses_a_stale_update_and_takes_patches() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let name = row_name(def);
        let uri = format!("{}/{name}", path(def));
        let first = cluster
            .post(&path(def), &example(def, &name))
            .await
            .expect(201);
        let mut changed = first.clone();
        changed["metadata"]["labels"] = json!({ "a": "1" });
        let second = cluster.put(&uri, &changed).await.expect(200);
        assert_eq!(second["metadata"]["labels"]["a"], "1");
        assert_ne!(
            second["metadata"]["resourceVersion"],
            first["metadata"]["resourceVersion"]
        );
        let stale = cluster.put(&uri, &changed).await.message(409);
        assert!(
            stale.ends_with(
                "the object has been modified; please apply your changes to the latest version \
                 and try again"
            ),
            "{stale}"
        );
        // The same again is no write.
        let same = cluster.put(&uri, &second).await.expect(200);
        assert_eq!(same, second);

        let merged = cluster
            .patch(
                &uri,
                "merge-patch+json",
                &json!({ "metadata": { "labels": { "a": null, "b": "2" } } }),
            )
            .await
            .expect(200);
        assert_eq!(labels(&merged), json!({ "b": "2" }));
        let patched = cluster
            .patch(
                &uri,
                "json-patch+json",
                &json!([
                    { "op": "test", "path": "/metadata/labels/b", "value": "2" },
                    { "op": "add", "path": "/metadata/labels/c", "value": "3" },
                ]),
            )
            .await
            .expect(200);
        assert_eq!(labels(&patched), json!({ "b": "2", "c": "3" }));
        let strategic = cluster
            .patch(
                &uri,
                "strategic-merge-patch+json",
                &json!({ "metadata": { "labels": { "c": null } } }),
            )
            .await
            .expect(200);
        assert_eq!(labels(&strategic), json!({ "b": "2" }));
        let other = cluster.patch(&uri, "json", &json!({})).await;
        assert!(other.message(415).contains("application/merge-patch+json"));
    }
}

#[tokio::test]
async fn every_resource_waits_for_its_finalizers() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let name = row_name(def);
        let uri = format!("{}/{name}", path(def));
        let mut object = example(def, &name);
        object["metadata"]["finalizers"] = json!(["example.com/hold"]);
        cluster.post(&path(def), &object).await.expect(201);
        let deleting = cluster
            .call(
                Method::DELETE,
                &format!("{uri}?gracePeriodSeconds=0"),
                &[],
                Body::empty(),
            )
            .await
            .expect(200);
        assert!(
            deleting["metadata"]["deletionTimestamp"].is_string(),
            "{uri}"
        );
        cluster.get(&uri).await.expect(200);
        cluster
            .patch(
                &uri,
                "merge-patch+json",
                &json!({ "metadata": { "finalizers": null } }),
            )
            .await
            .expect(200);
        let held = cluster.get(&uri).await;
        if def.kind == "Namespace" && held.status == 200 {
            // Its own finalizer holds it until what is in it is gone.
            let mut namespace = held.json();
            assert_eq!(namespace["status"]["phase"], "Terminating");
            namespace["spec"]["finalizers"] = json!([]);
            let finalize = format!("{uri}/finalize");
            cluster.put(&finalize, &namespace).await.expect(200);
        }
        let gone = cluster.get(&uri).await.message(404);
        assert_eq!(gone, format!("{} {name:?} not found", def.group_resource()));
    }
}

#[tokio::test]
async fn every_resource_is_closed_to_strangers() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let uri = path(def);
        let nobody = cluster
            .send(None, Method::GET, &uri, &[], Body::empty())
            .await;
        let status = collect(nobody).await.expect(403);
        assert_eq!(status["reason"], "Forbidden");
        let wrong = [("authorization", "Bearer wrong")];
        let wrong = cluster.send(None, Method::GET, &uri, &wrong, Body::empty());
        collect(wrong.await).await.expect(401);
        let known = [("authorization", "Bearer nobody-token")];
        let refused = cluster.send(None, Method::GET, &uri, &known, Body::empty());
        let message = collect(refused.await).await.message(403);
        let of = def.group_resource();
        let place = if def.is_namespaced() {
            "in the namespace \"default\""
        } else {
            "at the cluster scope"
        };
        assert_eq!(
            message,
            format!(
                "{of} is forbidden: User \"nobody\" cannot list resource {:?} in API group {:?} \
                 {place}",
                def.plural, def.group
            )
        );
        let admin = [("authorization", "Bearer admin-token")];
        let allowed = cluster.send(None, Method::GET, &uri, &admin, Body::empty());
        collect(allowed.await).await.expect(200);
    }
}

#[tokio::test]
async fn discovery_follows_from_the_table() {
    let cluster = Cluster::start().await;
    let core = cluster.get("/api").await.expect(200);
    assert_eq!(core["versions"], json!(["v1"]));
    let groups = cluster.get("/apis").await.expect(200);
    assert_eq!(groups["kind"], "APIGroupList");
    for def in BUILTINS {
        let uri = if def.group.is_empty() {
            "/api/v1".to_owned()
        } else {
            format!("/apis/{}/{}", def.group, def.version)
        };
        let list = cluster.get(&uri).await.expect(200);
        let names: Vec<&str> = list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| resource["name"].as_str().unwrap())
            .collect();
        assert!(names.contains(&&*def.plural));
        for subresource in def.subresources.iter() {
            let name = format!("{}/{}", def.plural, subresource.name);
            assert!(names.contains(&name.as_str()), "{name}");
        }
    }
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let aggregated = cluster.get_as("/apis", accept).await;
    let etag = aggregated.headers["etag"].to_str().unwrap().to_owned();
    assert!(
        aggregated.headers["content-type"]
            .to_str()
            .unwrap()
            .contains("v=v2")
    );
    assert_eq!(aggregated.expect(200)["kind"], "APIGroupDiscoveryList");
    let headers = [("accept", accept), ("if-none-match", etag.as_str())];
    let same = cluster
        .call(Method::GET, "/apis", &headers, Body::empty())
        .await;
    assert_eq!(same.status, 304);
    assert!(same.bytes.is_empty());
}

#[tokio::test]
async fn what_is_not_served_is_told_in_a_status() {
    let cluster = Cluster::start().await;
    for uri in [
        "/api/v1/nonsense",
        "/apis/nonsense/v1/things",
        "/api/v2/pods",
        "/nonsense",
        "/api/v1/namespaces/default/pods/x/nonsense",
        "/api/v1/pods/x",
    ] {
        let status = cluster.get(uri).await.expect(404);
        assert_eq!(status["kind"], "Status", "{uri}");
        assert_eq!(status["reason"], "NotFound");
    }
    let message = cluster
        .post("/api/v1/namespaces/default/pods/x", &json!({}))
        .await
        .message(405);
    assert_eq!(
        message,
        "the server does not allow this method on the requested resource"
    );
    let refused = cluster.get_as("/api/v1/pods", "application/cbor").await;
    assert!(
        refused
            .message(406)
            .starts_with("only the following media types")
    );
    let cbor = [("content-type", "application/cbor")];
    let uri = "/api/v1/namespaces/default/configmaps";
    let refused = cluster.call(Method::POST, uri, &cbor, "x").await;
    refused.expect(415);
}

#[tokio::test]
async fn health_and_version_are_open_to_all() {
    let cluster = Cluster::start().await;
    for uri in ["/livez", "/readyz", "/healthz", "/version"] {
        let answer = cluster
            .send(None, Method::GET, uri, &[], Body::empty())
            .await;
        assert_eq!(answer.status(), 200, "{uri}");
    }
    let verbose = cluster.get("/readyz?verbose").await;
    let text = String::from_utf8(verbose.bytes.to_vec()).unwrap();
    assert!(text.contains("[+]etcd ok\n"), "{text}");
    assert!(text.ends_with("readyz check passed\n"), "{text}");
    let version = cluster.get("/version").await.expect(200);
    assert_eq!(version["minor"], "36");
    let closed = cluster
        .send(None, Method::GET, "/metrics", &[], Body::empty())
        .await;
    assert_eq!(closed.status(), 403);
    let metrics = cluster.get("/metrics").await;
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(text.contains("apiserver_request_total{"), "{text}");
}

#[tokio::test]
async fn every_resource_is_applied_by_two_managers() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let name = row_name(def);
        let uri = format!("{}/{name}", path(def));
        let config = |value: &str| {
            let mut config = example(def, &name);
            config["apiVersion"] = json!(def.api_version());
            config["kind"] = json!(def.kind);
            config["metadata"]["labels"] = json!({ "who": value });
            config
        };
        let apply = async |manager: &str, value: &str| {
            let uri = format!("{uri}?fieldManager={manager}");
            cluster
                .patch(&uri, "apply-patch+yaml", &config(value))
                .await
        };
        let made = apply("one", "1").await.expect(201);
        let fields = made["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(fields[0]["manager"], "one", "{uri}");
        assert_eq!(fields[0]["operation"], "Apply");
        let same = apply("one", "1").await.expect(200);
        assert_eq!(same, made, "{uri}");
        let conflict = apply("two", "2").await.expect(409);
        assert_eq!(
            conflict["message"],
            "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.who"
        );
        let forced = apply("two&force=true", "2").await.expect(200);
        assert_eq!(forced["metadata"]["labels"]["who"], "2");
        let unnamed = cluster
            .patch(&uri, "apply-patch+yaml", &config("3"))
            .await
            .message(422);
        assert!(unnamed.contains("fieldManager: Required value: is required for apply patch"));
    }
}
