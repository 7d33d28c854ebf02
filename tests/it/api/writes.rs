//! What writes do beyond what all rows share: names, dry runs, validation, deletion, admission.

use super::harness::Cluster;
use http::Method;
use serde_json::{Value, json};
use wkube::api::{Body, Limits, UserInfo};
use wkube::stdx::Clock;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn names_are_generated() {
    let cluster = Cluster::start().await;
    let body = json!({ "metadata": { "generateName": "x-" } });
    let one = cluster.post(MAPS, &body).await.expect(201);
    let two = cluster.post(MAPS, &body).await.expect(201);
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name(&one).starts_with("x-") && name(&one).len() == 7);
    assert_ne!(name(&one), name(&two));
    let nameless = cluster.post(MAPS, &json!({ "metadata": {} })).await;
    assert!(
        nameless
            .message(422)
            .contains("metadata.name: Required value: name or generateName is required")
    );
}

#[tokio::test]
async fn a_dry_run_answers_and_writes_nothing() {
    let cluster = Cluster::start().await;
    let before = cluster.server.revision();
    let body = json!({ "metadata": { "name": "dry" }, "data": { "k": "1" } });
    let uri = format!("{MAPS}?dryRun=All");
    let answer = cluster.post(&uri, &body).await.expect(201);
    assert!(answer["metadata"]["uid"].is_string());
    assert_eq!(cluster.server.revision(), before);
    cluster.get(&format!("{MAPS}/dry")).await.expect(404);
    cluster.config_map("wet", "1").await;
    let before = cluster.server.revision();
    let uri = format!("{MAPS}/wet?dryRun=All");
    let patch = json!({ "data": { "k": "2" } });
    let answer = cluster.patch(&uri, "merge-patch+json", &patch).await;
    assert_eq!(answer.expect(200)["data"]["k"], "2");
    cluster.delete(&uri).await.expect(200);
    assert_eq!(cluster.server.revision(), before);
    let wrong = cluster.post(&format!("{MAPS}?dryRun=Some"), &body).await;
    wrong.expect(422);
}

#[tokio::test]
async fn duplicate_fields_are_told_as_asked() {
    let cluster = Cluster::start().await;
    let body = r#"{"metadata":{"name":"d"},"data":{"a":"1","a":"2"}}"#;
    for (validation, status) in [("Strict", 400), ("Warn", 201)] {
        let uri = format!("{MAPS}?fieldValidation={validation}&dryRun=All");
        let answer = cluster.call(Method::POST, &uri, &[], body).await;
        let warnings = answer.warnings();
        let body = answer.expect(status);
        if status == 400 {
            assert_eq!(
                body["message"],
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding \
                 error: duplicate field \"data.a\""
            );
        } else {
            assert_eq!(warnings, ["299 - \"duplicate field \\\"data.a\\\"\""]);
        }
    }
    let uri = format!("{MAPS}?fieldValidation=Ignore&dryRun=All");
    let answer = cluster.call(Method::POST, &uri, &[], body).await;
    assert!(answer.warnings().is_empty());
}

#[tokio::test]
async fn bodies_may_be_yaml() {
    let cluster = Cluster::start().await;
    let yaml = "metadata:\n  name: one\ndata:\n  k: \"1\"\n";
    let headers = [("content-type", "application/yaml")];
    let answer = cluster.call(Method::POST, MAPS, &headers, yaml).await;
    assert_eq!(answer.expect(201)["data"]["k"], "1");
    let read = cluster
        .get_as(&format!("{MAPS}/one"), "application/yaml")
        .await;
    assert_eq!(read.headers["content-type"], "application/yaml");
    let text = String::from_utf8(read.bytes.to_vec()).unwrap();
    assert!(text.contains("name: one\n"), "{text}");
    // What YAML 1.1 reads as a boolean is no name, here as in Kubernetes.
    let answer = cluster
        .call(Method::POST, MAPS, &headers, "metadata:\n  name: y\n")
        .await;
    answer.expect(400);
}

#[tokio::test]
async fn keys_that_stand_twice_in_yaml_are_told_by_line() {
    let cluster = Cluster::start().await;
    let yaml = |name: &str| {
        format!("metadata: {{name: {name}}}\ndata:\n  a: \"1\"\n  a: \"yes\"\n  a: \"2\"\nx: 1\n")
    };
    let headers = [("content-type", "application/yaml")];
    let post = async |name: &str, how: &str| {
        let uri = format!("{MAPS}?fieldValidation={how}");
        cluster.call(Method::POST, &uri, &headers, yaml(name)).await
    };
    let ignored = post("one", "Ignore").await;
    assert_eq!(ignored.warnings(), Vec::<String>::new());
    assert_eq!(ignored.expect(201)["data"], json!({"a": "2"}));
    let warned = post("two", "Warn").await;
    let warnings = warned.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings[0].contains("line 4: key \\\"a\\\" already set in map"),
        "{warnings:?}"
    );
    warned.expect(201);
    let strict = post("three", "Strict").await.message(400);
    let wanted = "strict decoding error: yaml: unmarshal errors:\n  line 4: key \"a\" already set in \
                  map\n  line 5: key \"a\" already set in map, unknown field \"x\"";
    assert!(strict.ends_with(wanted), "{strict}");
}

#[tokio::test]
async fn text_that_looks_like_something_else_survives_yaml() {
    let cluster = Cluster::start().await;
    let data = json!({"a": "yes", "b": "0644", "y": "1e3", "n": "null", "t": "2024-01-01"});
    let body = json!({ "metadata": { "name": "one" }, "data": data });
    cluster.post(MAPS, &body).await.expect(201);
    let uri = format!("{MAPS}/one");
    let read = cluster.get_as(&uri, "application/yaml").await;
    let text = String::from_utf8(read.bytes.to_vec()).unwrap();
    assert!(text.contains("  a: \"yes\"\n"), "{text}");
    let headers = [("content-type", "application/yaml")];
    let written = cluster.call(Method::PUT, &uri, &headers, text).await;
    assert_eq!(written.expect(200)["data"], data);
}

#[tokio::test]
async fn metadata_alone_is_of_a_list_or_of_an_object() {
    let cluster = Cluster::start().await;
    let of = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
    let list = cluster.get_as(MAPS, &of("PartialObjectMetadata")).await;
    assert_eq!(
        list.message(406),
        "you requested PartialObjectMetadata, but the requested object is a list \
         (*core.ConfigMapList)"
    );
    let uri = "/api/v1/namespaces/default";
    let one = cluster.get_as(uri, &of("PartialObjectMetadataList")).await;
    assert_eq!(
        one.message(406),
        "you requested PartialObjectMetadataList, but the requested object is not a list \
         (*core.Namespace)"
    );
}

#[tokio::test]
async fn the_body_of_a_delete_decides_alone() {
    let cluster = Cluster::start().await;
    let uri = format!("{MAPS}/one");
    let headers = [("content-type", "application/json")];
    let body =
        |dry_run: Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": dry_run});
    let delete = async |uri: &str, body: Value| {
        let body = body.to_string();
        cluster
            .call(Method::DELETE, uri, &headers, body)
            .await
            .expect(200)
    };
    cluster.config_map("one", "x").await;
    delete(&uri, body(json!(["All"]))).await;
    cluster.get(&uri).await.expect(200);
    delete(&format!("{uri}?dryRun=All"), body(json!([]))).await;
    cluster.get(&uri).await.expect(404);
}

#[tokio::test]
async fn bodies_must_be_of_the_kind_and_place_that_the_path_says() {
    let cluster = Cluster::start().await;
    let cases = [
        (
            json!({ "kind": "Pod", "apiVersion": "apps/v1", "metadata": { "name": "x" } }),
            "Pod in version \"v1\" cannot be handled as a ConfigMap: no kind \"Pod\" is registered \
             for version \"apps/v1\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "x" } }),
            "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to \
             (core.ConfigMap): unknown conversion",
        ),
        (
            json!({ "metadata": { "name": "x", "namespace": "other" } }),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            json!([]),
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get \
             version/kind; json parse error: json: cannot unmarshal array into Go value of type \
             struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
        ),
    ];
    for (body, words) in cases {
        let message = cluster.post(MAPS, &body).await.message(400);
        assert!(message.starts_with(words), "{message}");
    }
    let object = cluster.config_map("x", "1").await;
    let message = cluster
        .put(&format!("{MAPS}/y"), &object)
        .await
        .message(400);
    assert_eq!(
        message,
        "the name of the object (x) does not match the name on the URL (y)"
    );
}

#[tokio::test]
async fn namespaces_decide_what_can_be_made() {
    let cluster = Cluster::start().await;
    let body = json!({ "metadata": { "name": "x" } });
    let uri = "/api/v1/namespaces/nowhere/configmaps";
    let message = cluster.post(uri, &body).await.message(404);
    assert_eq!(message, "namespaces \"nowhere\" not found");
    let going = json!({ "metadata": { "name": "going", "finalizers": ["example.com/x"] } });
    cluster.post("/api/v1/namespaces", &going).await.expect(201);
    cluster.delete("/api/v1/namespaces/going").await.expect(200);
    let uri = "/api/v1/namespaces/going/configmaps";
    let status = cluster.post(uri, &body).await.expect(403);
    assert_eq!(
        status["message"],
        "configmaps \"x\" is forbidden: unable to create new content in namespace going because \
         it is being terminated"
    );
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let kept = cluster.delete("/api/v1/namespaces/default").await;
    assert_eq!(
        kept.message(403),
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test]
async fn pods_get_their_admission_defaults() {
    let cluster = Cluster::start().await;
    let pod = cluster.pod("p", &["c"]).await;
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    assert_eq!(pod["spec"]["priority"], 0);
    assert_eq!(pod["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[tokio::test]
async fn a_priority_class_becomes_a_number() {
    let cluster = Cluster::start().await;
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, spec: serde_json::Value| {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        json_patch::merge(&mut pod["spec"], &spec);
        pod
    };
    let class = json!({"metadata": {"name": "low"}, "value": -5, "globalDefault": true, "preemptionPolicy": "Never"});
    cluster.post(classes, &class).await.expect(201);
    let made = cluster.post(pods, &pod("a", json!({}))).await.expect(201);
    assert_eq!(made["spec"]["priority"], -5);
    assert_eq!(made["spec"]["priorityClassName"], "low");
    assert_eq!(made["spec"]["preemptionPolicy"], "Never");
    let system = json!({"priorityClassName": "system-node-critical"});
    let made = cluster.post(pods, &pod("b", system)).await.expect(201);
    assert_eq!(made["spec"]["priority"], 2_000_001_000);
    let nobody = json!({"priorityClassName": "nobody"});
    assert_eq!(
        cluster.post(pods, &pod("c", nobody)).await.message(403),
        "pods \"c\" is forbidden: no PriorityClass with name nobody was found"
    );
    let second = json!({"metadata": {"name": "other"}, "value": 1, "globalDefault": true});
    assert_eq!(
        cluster.post(classes, &second).await.message(403),
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass low is already \
         marked as default. Only one default can exist"
    );
}

#[tokio::test]
async fn preconditions_of_a_delete_are_kept() {
    let cluster = Cluster::start().await;
    cluster.config_map("x", "1").await;
    let uri = format!("{MAPS}/x");
    let wrong = json!({ "preconditions": { "uid": "other" } }).to_string();
    let refused = cluster.call(Method::DELETE, &uri, &[], wrong).await;
    let message = refused.message(409);
    assert!(
        message.starts_with(
            "Operation cannot be fulfilled on ConfigMap \"x\": the UID in the precondition (other) \
             does not match the UID in record ("
        ),
        "{message}"
    );
    let status = cluster.delete(&uri).await.expect(200);
    assert_eq!(status["status"], "Success");
    assert_eq!(status["details"]["kind"], "configmaps");
    assert_eq!(status["details"]["name"], "x");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.config_map(name, "1").await;
    }
    let patch = json!({ "metadata": { "labels": { "keep": "yes" } } });
    cluster
        .patch(&format!("{MAPS}/b"), "merge-patch+json", &patch)
        .await
        .expect(200);
    let list = cluster
        .delete(&format!("{MAPS}?labelSelector=!keep"))
        .await
        .expect(200);
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let left = cluster.get(MAPS).await.expect(200);
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let cluster = Cluster::start().await;
    let mut pod = cluster.pod("p", &["c"]).await;
    let uri = format!("{PODS}/p/status");
    pod["status"]["phase"] = json!("Running");
    pod["metadata"]["labels"] = json!({ "a": "1" });
    let told = cluster.put(&uri, &pod).await.expect(200);
    assert_eq!(told["status"]["phase"], "Running");
    let patch = json!({ "status": { "phase": "Failed" } });
    let main = cluster
        .patch(&format!("{PODS}/p"), "merge-patch+json", &patch)
        .await
        .expect(200);
    assert_eq!(main["status"]["phase"], "Running");
}

#[tokio::test]
async fn nodes_touch_only_what_is_theirs() {
    let cluster = Cluster::start().await;
    for name in ["mine", "other"] {
        cluster.pod(name, &["c"]).await;
        let node = if name == "mine" { "n1" } else { "n2" };
        let binding = json!({ "target": { "kind": "Node", "name": node } });
        let uri = format!("{PODS}/{name}/binding");
        cluster.post(&uri, &binding).await.expect(201);
    }
    let node = || Some(UserInfo::new("system:node:n1", &["system:nodes"]));
    let patch = [("content-type", "application/merge-patch+json")];
    let body = json!({ "status": { "phase": "Running" } }).to_string();
    let cases = [
        (Method::PATCH, format!("{PODS}/mine/status"), 200),
        (Method::PATCH, format!("{PODS}/other/status"), 403),
        (Method::GET, format!("{PODS}/mine"), 200),
        (Method::GET, format!("{PODS}/other"), 403),
        (Method::GET, "/api/v1/pods".to_owned(), 403),
        (
            Method::GET,
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1".to_owned(),
            200,
        ),
        (Method::GET, format!("{MAPS}/secret-plan"), 403),
        (Method::PATCH, "/api/v1/nodes/n2/status".to_owned(), 403),
    ];
    for (method, uri, status) in cases {
        let answer = cluster
            .send(node(), method.clone(), &uri, &patch, body.clone())
            .await;
        assert_eq!(answer.status(), status, "{method} {uri}");
    }
}

#[tokio::test]
async fn hostile_bodies_get_a_status() {
    let limits = Limits {
        body_bytes_max: 64 << 10,
        ..Limits::default()
    };
    let cluster = Cluster::with(limits, Clock::real()).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"metadata\":{{\"name\":\"x\"}},\"data\":{deep}}}");
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (b"{".to_vec(), 400),
        (b"".to_vec(), 400),
        (b"\xff\xfe\x00".to_vec(), 400),
        (b"{\"metadata\":{\"name\":\"\xff\"}}".to_vec(), 400),
        (nested.into_bytes(), 400),
        (vec![b' '; 1 << 20], 413),
        (b"null".to_vec(), 400),
        (b"{\"kind\":1}".to_vec(), 400),
    ];
    for (body, status) in cases {
        let length = body.len();
        let answer = cluster.call(Method::POST, MAPS, &[], body).await;
        let told = answer.expect(status);
        assert_eq!(told["kind"], "Status", "{length} bytes");
    }
    for name in ["a/b", "..", "A", "x y", &"x".repeat(300)] {
        let body = json!({ "metadata": { "name": name } });
        let told = cluster.post(MAPS, &body).await.expect(422);
        assert_eq!(told["reason"], "Invalid", "{name}");
    }
    for query in [
        "labelSelector=a%20in",
        "fieldSelector=a",
        "limit=x",
        "resourceVersion=x",
        "labelSelector=%3D",
    ] {
        let answer = cluster.get(&format!("{MAPS}?{query}")).await;
        assert!(answer.status.is_client_error(), "{query}");
    }
    for patch in [json!(1), json!([{ "op": "nonsense" }]), json!(null)] {
        cluster.config_map("p", "1").await;
        let uri = format!("{MAPS}/p");
        let answer = cluster.patch(&uri, "json-patch+json", &patch).await;
        assert!(answer.status.is_client_error(), "{patch}");
        cluster.delete(&uri).await;
    }
}

#[tokio::test]
async fn unknown_fields_are_told_as_asked() {
    let cluster = Cluster::start().await;
    let body = json!({
        "metadata": { "name": "u" },
        "spec": { "containers": [{ "name": "c", "image": "echo", "nonsense": 1 }] },
    });
    let uri = format!("{PODS}?fieldValidation=Strict");
    assert_eq!(
        cluster.post(&uri, &body).await.message(400),
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \
         \"spec.containers[0].nonsense\""
    );
    let warned = cluster
        .post(&format!("{PODS}?fieldValidation=Warn"), &body)
        .await;
    assert_eq!(
        warned.warnings(),
        ["299 - \"unknown field \\\"spec.containers[0].nonsense\\\"\""]
    );
    let pod = warned.expect(201);
    assert!(pod["spec"]["containers"][0].get("nonsense").is_none());
}

#[tokio::test]
async fn the_shape_of_things_is_told() {
    let cluster = Cluster::start().await;
    let v2 = cluster.get("/openapi/v2").await;
    let etag = v2.headers["etag"].to_str().unwrap().to_owned();
    let document = v2.expect(200);
    assert!(document["definitions"]["io.k8s.api.core.v1.Pod"].is_object());
    let headers = [("if-none-match", etag.as_str())];
    let same = cluster
        .call(Method::GET, "/openapi/v2", &headers, Body::empty())
        .await;
    assert_eq!(same.status, 304);
    let proto = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let v2 = cluster.get_as("/openapi/v2", proto).await;
    assert_eq!(v2.status, 200);
    assert_ne!(v2.bytes.first(), Some(&b'{'));
    let index = cluster.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["api/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let v3 = cluster.get(url).await;
    assert_eq!(v3.headers["cache-control"], "public, immutable");
    let schemas = &v3.expect(200)["components"]["schemas"];
    assert!(schemas["io.k8s.api.core.v1.Pod"].is_object());
}

#[tokio::test]
async fn large_answers_are_compressed_if_that_is_taken() {
    use std::io::Read;
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.config_map(name, &"x".repeat(60_000)).await;
    }
    let headers = [("accept-encoding", "gzip")];
    let packed = cluster
        .call(Method::GET, MAPS, &headers, Body::empty())
        .await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.bytes.len() < 10_000);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list, cluster.get(MAPS).await.expect(200));
    let small = cluster
        .call(Method::GET, &format!("{MAPS}/a"), &headers, Body::empty())
        .await;
    assert!(!small.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_budget_refuses_an_eviction_until_it_allows_one() {
    let cluster = Cluster::start().await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = |name: &str| json!({ "metadata": { "name": name }, "spec": { "minAvailable": 1, "selector": {} } });
    cluster.post(budgets, &budget("all")).await.expect(201);
    let evict = async |pod: &str| {
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "name": pod } });
        cluster
            .post(&format!("{PODS}/{pod}/eviction"), &eviction)
            .await
    };
    let ready = json!({ "status": { "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "True" }] } });
    for pod in ["waits", "one", "two"] {
        cluster.pod(pod, &["c"]).await;
    }
    for pod in ["one", "two"] {
        let uri = format!("{PODS}/{pod}/status");
        cluster
            .patch(&uri, "merge-patch+json", &ready)
            .await
            .expect(200);
    }
    // What does not run yet disrupts nobody.
    evict("waits").await.expect(201);
    let early = evict("one").await.expect(429);
    assert_eq!(early["details"]["retryAfterSeconds"], 10);
    let status = async |allowed: u32| {
        let body = json!({ "status": { "observedGeneration": 1, "currentHealthy": 2,
            "desiredHealthy": 2, "disruptionsAllowed": allowed } });
        let uri = format!("{budgets}/all/status");
        cluster
            .patch(&uri, "merge-patch+json", &body)
            .await
            .expect(200);
    };
    status(0).await;
    let refused = evict("one").await.expect(429);
    assert_eq!(
        refused["message"],
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    let cause = json!([{ "reason": "DisruptionBudget",
        "message": "The disruption budget all needs 2 healthy pods and has 2 currently" }]);
    assert_eq!(refused["details"]["causes"], cause);
    status(1).await;
    evict("one").await.expect(201);
    cluster.get(&format!("{PODS}/one")).await.expect(404);
    let left = cluster.get(&format!("{budgets}/all")).await.expect(200)["status"].take();
    assert_eq!(left["disruptionsAllowed"], 0);
    assert!(left["disruptedPods"]["one"].is_string());
    assert_eq!(left["conditions"][0]["reason"], "InsufficientPods");
    evict("two").await.expect(429);
    // An unready one may go while enough are healthy.
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let uri = format!("{PODS}/two/status");
    cluster
        .patch(&uri, "merge-patch+json", &unready)
        .await
        .expect(200);
    cluster.post(budgets, &budget("more")).await.expect(201);
    let several = evict("two").await.message(500);
    assert!(
        several.starts_with("This pod has more than one"),
        "{several}"
    );
    cluster.delete(&format!("{budgets}/more")).await.expect(200);
    evict("two").await.expect(201);
}
