//! The wire form that typed clients speak, through every row of the table: what is sent in it is what
//! JSON would have sent, and what is answered in it is what JSON answers.

use super::harness::{Answer, Cluster, admin, collect};
use super::rows::{example, path, row_name, stored};
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use wkube::api::Body;
use wkube::resources::wire;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const BOTH_WAYS: &[(&str, &str)] = &[("accept", PROTOBUF), ("content-type", PROTOBUF)];

fn read(answer: &Answer, status: u16) -> Value {
    let text = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.headers["content-type"], PROTOBUF, "{text}");
    wire::table().decode(&answer.bytes).unwrap()
}

async fn call(cluster: &Cluster, method: Method, uri: &str, body: &Value) -> Answer {
    let bytes = wire::table().encode(body).unwrap();
    cluster.call(method, uri, BOTH_WAYS, bytes).await
}

async fn get(cluster: &Cluster, uri: &str) -> Value {
    read(&cluster.get_as(uri, PROTOBUF).await, 200)
}

/// Without what the form cannot tell from nothing.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(name, value)| (name, bare(value)));
            let nothing = |value: &Value| {
                *value == json!({})
                    || *value == json!([])
                    || *value == json!("")
                    || *value == json!(0)
                    || *value == json!(false)
            };
            Value::Object(map.filter(|(_, value)| !nothing(value)).collect())
        }
        Value::Array(items) => items.into_iter().map(bare).collect(),
        other => other,
    }
}

#[tokio::test]
async fn every_resource_is_created_read_listed_updated_and_deleted() {
    let cluster = Cluster::start().await;
    for def in stored() {
        let (uri, name) = (path(def), row_name(def));
        let mut object = example(def, &name);
        object["apiVersion"] = json!(def.api_version());
        object["kind"] = json!(def.kind);
        let created = read(&call(&cluster, Method::POST, &uri, &object).await, 201);
        let one = format!("{uri}/{name}");
        let as_json = cluster.get(&one).await.expect(200);
        assert_eq!(bare(created.clone()), bare(as_json.clone()), "{uri}");
        assert_eq!(get(&cluster, &one).await, created);

        let list = get(&cluster, &uri).await;
        assert_eq!(list["kind"], json!(def.list_kind));
        let items = list["items"].as_array().unwrap();
        let item = items.iter().find(|i| i["metadata"]["name"] == json!(name));
        assert_eq!(item.unwrap()["metadata"], created["metadata"]);

        // What was read can be written back: nothing is lost on the way.
        let put = call(&cluster, Method::PUT, &one, &created).await;
        assert_eq!(read(&put, 200), created, "{uri}");
        assert_eq!(cluster.get(&one).await.expect(200), as_json, "{uri}");

        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
        let deleted = call(&cluster, Method::DELETE, &one, &options).await;
        assert!(
            matches!(read(&deleted, 200)["kind"].as_str(), Some(kind) if kind == "Status" || kind == &*def.kind)
        );
        cluster.get(&one).await.expect(200);
    }
}

#[tokio::test]
async fn watches_send_frames_with_their_length() {
    let cluster = Cluster::start().await;
    cluster.config_map("first", "1").await;
    let uri = "/api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true\
               &resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let response = cluster
        .send(
            Some(admin()),
            Method::GET,
            uri,
            &[("accept", PROTOBUF)],
            Body::empty(),
        )
        .await;
    assert_eq!(response.status(), 200);
    let media = format!("{PROTOBUF};stream=watch");
    assert_eq!(response.headers()["content-type"], media.as_str());
    let mut body = response.into_body();
    let mut buffer = Vec::new();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        buffer.extend_from_slice(&piece);
        while let Some(head) = buffer.first_chunk::<4>() {
            let length = 4 + u32::from_be_bytes(*head) as usize;
            if buffer.len() < length {
                break;
            }
            let frame: Vec<u8> = buffer.drain(..length).collect();
            // Type is field 1; the envelope begins with its magic.
            let kind_length = usize::from(frame[5]);
            let kind = String::from_utf8(frame[6..6 + kind_length].to_vec()).unwrap();
            let at = frame.windows(4).position(|w| w == b"k8s\0").unwrap();
            let object = wire::table().decode(&frame[at..]).unwrap();
            seen.push(format!(
                "{kind} {} {}",
                object["kind"], object["metadata"]["name"]
            ));
            if seen.len() == 2 {
                cluster.config_map("second", "2").await;
            }
        }
    }
    assert_eq!(
        seen,
        [
            "ADDED \"ConfigMap\" \"first\"",
            "BOOKMARK \"ConfigMap\" null",
            "ADDED \"ConfigMap\" \"second\""
        ]
    );
}

#[tokio::test]
async fn errors_metadata_scale_and_reviews_have_this_form_too() {
    let cluster = Cluster::start().await;
    let missing = cluster
        .get_as("/api/v1/namespaces/default/pods/none", PROTOBUF)
        .await;
    let status = read(&missing, 404);
    assert_eq!(status["message"], "pods \"none\" not found");
    assert_eq!(status["details"]["name"], "none");

    cluster.config_map("one", "1").await;
    let metadata = format!("{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let answer = cluster
        .get_as("/api/v1/namespaces/default/configmaps", &metadata)
        .await;
    let list = read(&answer, 200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "one");

    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}},
    });
    let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = read(&call(&cluster, Method::POST, uri, &review).await, 201);
    assert_eq!(answer["status"]["allowed"], true);
}

#[tokio::test]
async fn other_forms_and_rubbish_are_refused_in_kubernetes_words() {
    let cluster = Cluster::start().await;
    let uri = "/api/v1/namespaces/default/configmaps";
    let cbor = [("content-type", "application/cbor")];
    let refused = cluster.call(Method::POST, uri, &cbor, "\u{1}").await;
    assert_eq!(
        refused.message(415),
        "the body of the request was in an unknown format - accepted media types include: \
         application/json, application/yaml, application/vnd.kubernetes.protobuf"
    );
    let refused = cluster.get_as(uri, "application/cbor").await;
    assert_eq!(
        refused.message(406),
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf"
    );
    let sent = [("content-type", PROTOBUF)];
    for (body, wanted) in [
        (&b""[..], "empty data"),
        (b"{}", "does not appear to be a protobuf message"),
        (
            b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Thing",
            "no kind \"Thing\" is registered",
        ),
        (b"k8s\0\xff\xff\xff", "proto: "),
    ] {
        let refused = cluster
            .call(Method::POST, uri, &sent, body)
            .await
            .message(400);
        assert!(refused.contains(wanted), "{refused}");
    }
    let table = format!(
        "{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io"
    );
    let answer = cluster.get_as(uri, &table).await.expect(200);
    assert_eq!(answer["kind"], "Table");
    let collected = collect(
        cluster
            .send(
                Some(admin()),
                Method::GET,
                "/version",
                &[("accept", PROTOBUF)],
                Body::empty(),
            )
            .await,
    )
    .await;
    assert_eq!(collected.json()["major"], "1");
}
