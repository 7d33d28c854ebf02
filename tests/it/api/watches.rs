//! Lists at a revision, pages, watches: nothing lost, nothing twice.

use super::harness::{Cluster, admin};
use http::Method;
use serde_json::json;
use std::collections::HashSet;
use wkube::api::{Body, Limits};
use wkube::stdx::Clock;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn revision(object: &serde_json::Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn a_watch_tells_what_happens_from_a_revision_on() {
    let cluster = Cluster::start().await;
    let first = cluster.config_map("a", "1").await;
    let second = cluster.config_map("b", "1").await;
    let from = revision(&first);
    let mut watch = cluster
        .watch(&format!("{MAPS}?watch=1&resourceVersion={from}"))
        .await;
    let frame = watch.next().await.unwrap();
    assert_eq!(frame["type"], "ADDED");
    assert_eq!(frame["object"], second);
    cluster
        .patch(
            &format!("{MAPS}/a"),
            "merge-patch+json",
            &json!({ "data": { "k": "2" } }),
        )
        .await
        .expect(200);
    assert_eq!(watch.brief().await, "MODIFIED a");
    cluster.delete(&format!("{MAPS}/a")).await.expect(200);
    let gone = watch.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["data"]["k"], "2");
    assert!(revision(&gone["object"]) > revision(&second));
}

#[tokio::test]
async fn selectors_make_objects_come_and_go() {
    let cluster = Cluster::start().await;
    let mut watch = cluster
        .watch(&format!("{MAPS}?watch=1&labelSelector=a%3D1"))
        .await;
    cluster.config_map("other", "1").await;
    cluster.config_map("x", "1").await;
    let uri = format!("{MAPS}/x");
    for label in ["1", "1", "2", "1"] {
        let patch = json!({ "metadata": { "labels": { "a": label } }, "data": { "l": label } });
        cluster
            .patch(&uri, "merge-patch+json", &patch)
            .await
            .expect(200);
    }
    cluster.delete(&uri).await.expect(200);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let frame = watch.next().await.unwrap();
        seen.push((
            frame["type"].as_str().unwrap().to_owned(),
            frame["object"]["data"]["l"].as_str().unwrap().to_owned(),
        ));
    }
    // The second patch changes nothing and is no write.
    let expected = [
        ("ADDED", "1"),
        ("DELETED", "1"),
        ("ADDED", "1"),
        ("DELETED", "1"),
    ];
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn pods_of_a_node_are_found_by_their_field() {
    let cluster = Cluster::start().await;
    let uri = "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn1";
    let mut watch = cluster.watch(uri).await;
    cluster.pod("p", &["c"]).await;
    let binding =
        json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n1" } });
    let uri = "/api/v1/namespaces/default/pods/p/binding";
    cluster.post(uri, &binding).await.expect(201);
    let frame = watch.next().await.unwrap();
    assert_eq!(frame["type"], "ADDED");
    assert_eq!(frame["object"]["spec"]["nodeName"], "n1");
    let conditions = frame["object"]["status"]["conditions"].as_array().unwrap();
    let scheduled = conditions.iter().find(|c| c["type"] == "PodScheduled");
    assert_eq!(scheduled.unwrap()["status"], "True");
    let twice = cluster.post(uri, &binding).await.message(409);
    assert_eq!(
        twice,
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \
         \"n1\""
    );
    let unknown = "/api/v1/pods?fieldSelector=spec.nonsense%3Dx";
    let message = cluster.get(unknown).await.message(400);
    assert_eq!(message, "field label not supported: spec.nonsense");
    let list = cluster
        .get("/api/v1/pods?fieldSelector=spec.nodeName!=n1")
        .await;
    assert_eq!(list.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_comes_twice_while_many_write() {
    const WRITERS: usize = 8;
    const WRITES: usize = 50;
    let cluster = std::sync::Arc::new(Cluster::start().await);
    let list = cluster.get(MAPS).await.expect(200);
    let from = revision(&list);
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let cluster = cluster.clone();
        tasks.push(tokio::spawn(async move {
            for write in 0..WRITES {
                cluster.config_map(&format!("w{writer}-{write}"), "1").await;
            }
        }));
    }
    // Watches that begin at different moments, from the same revision.
    let mut readers = Vec::new();
    for _ in 0..4 {
        let cluster = cluster.clone();
        readers.push(tokio::spawn(async move {
            let uri = format!("{MAPS}?watch=1&resourceVersion={from}");
            let mut watch = cluster.watch(&uri).await;
            let mut names = HashSet::new();
            let mut last = from;
            while names.len() < WRITERS * WRITES {
                let frame = watch.next().await.unwrap();
                assert_eq!(frame["type"], "ADDED");
                let now = revision(&frame["object"]);
                assert!(now > last, "{now} after {last}");
                last = now;
                let name = frame["object"]["metadata"]["name"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} came twice");
            }
        }));
    }
    for task in tasks.into_iter().chain(readers) {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_watch_list_begins_with_what_there_is_and_says_where_it_ends() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    cluster.config_map("b", "1").await;
    let uri = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &allowWatchBookmarks=true"
    );
    let mut watch = cluster.watch(&uri).await;
    assert_eq!(watch.brief().await, "ADDED a");
    assert_eq!(watch.brief().await, "ADDED b");
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    cluster.config_map("c", "1").await;
    assert_eq!(watch.brief().await, "ADDED c");
    let message = cluster
        .get(&format!("{MAPS}?watch=1&sendInitialEvents=true"))
        .await
        .message(422);
    assert!(message.contains("sendInitialEvents requires setting resourceVersionMatch"));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_about_once_a_minute_and_the_timeout_ends_the_watch() {
    let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::with(Limits::default(), clock).await;
    let uri = format!("{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=150");
    let mut watch = cluster.watch(&uri).await;
    // A watch from nowhere is one with initial events, and is told their end.
    let end = watch.next().await.unwrap();
    let annotations = &end["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    let mut bookmarks = 0;
    while let Some(frame) = watch.next().await {
        assert_eq!(frame["type"], "BOOKMARK");
        bookmarks += 1;
    }
    assert_eq!(bookmarks, 2);
}

#[tokio::test]
async fn what_is_forgotten_is_gone() {
    let cluster = Cluster::start().await;
    let first = cluster.config_map("a", "1").await;
    let last = cluster.config_map("b", "1").await;
    cluster.server.compact(revision(&last)).await.unwrap();
    let uri = format!("{MAPS}?watch=1&resourceVersion={}", revision(&first));
    let frame = cluster.get(&uri).await.expect(200);
    assert_eq!(frame["type"], "ERROR");
    let status = &frame["object"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(410), &json!("Expired"))
    );
    assert_eq!(
        status["message"].as_str().unwrap(),
        format!(
            "too old resource version: {} ({})",
            revision(&first),
            revision(&last)
        )
    );
    let uri = format!("{MAPS}?resourceVersion={}", u64::from(u32::MAX));
    let now = cluster.server.revision();
    let words = format!(
        "Timeout: Too large resource version: {}, current: {now}",
        u32::MAX
    );
    let initial = format!("{uri}&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let watched = cluster.get(&initial).await.expect(200);
    let one = uri.replace("configmaps?", "configmaps/a?");
    for ahead in [
        cluster.get(&uri).await.expect(504),
        cluster.get(&one).await.expect(504),
        watched["object"].clone(),
    ] {
        assert_eq!(ahead["message"], json!(words));
        let cause = &ahead["details"]["causes"][0];
        assert_eq!(cause["reason"], "ResourceVersionTooLarge");
    }
    let exact = format!(
        "{MAPS}?resourceVersionMatch=Exact&resourceVersion={}",
        revision(&first)
    );
    assert_eq!(
        cluster.get(&exact).await.message(410),
        "The resourceVersion for the provided list is too old."
    );
}

#[tokio::test]
async fn pages_show_one_revision() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        cluster.config_map(name, "1").await;
    }
    let names = |list: &serde_json::Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = cluster.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    // What happens between the pages is not in them.
    cluster.delete(&format!("{MAPS}/c")).await.expect(200);
    cluster.config_map("bb", "1").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let uri = format!("{MAPS}?limit=2&continue={token}");
    let second = cluster.get(&uri).await.expect(200);
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(revision(&second), revision(&first));
    let exact = format!(
        "{MAPS}?resourceVersion={}&resourceVersionMatch=Exact",
        revision(&first)
    );
    let exact = cluster.get(&exact).await.expect(200);
    assert_eq!(names(&exact), ["a", "b", "c", "d", "e"]);
    // After the past has been forgotten, the rest can be had of the present.
    cluster
        .server
        .compact(cluster.server.revision())
        .await
        .unwrap();
    let expired = cluster.get(&uri).await.expect(410);
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let rest = cluster.get(&format!("{MAPS}?continue={token}")).await;
    assert_eq!(names(&rest.expect(200)), ["bb", "d", "e"]);
    // Whatever is there is one page.
    let any = format!("{MAPS}?limit=2&resourceVersion=0");
    let any = cluster.get(&any).await.expect(200);
    assert_eq!(names(&any), ["a", "b", "bb", "d", "e"]);
    let wrong = cluster.get(&format!("{MAPS}?continue=nonsense")).await;
    let words = "invalid continue token: continue key is not valid";
    assert!(wrong.message(400).starts_with(words));
}

#[tokio::test]
async fn tables_and_metadata_are_watched_too() {
    let cluster = Cluster::start().await;
    for (shape, kind) in [
        ("Table", "Table"),
        ("PartialObjectMetadata", "PartialObjectMetadata"),
    ] {
        let accept = format!("application/json;as={shape};v=v1;g=meta.k8s.io");
        let headers = [("accept", accept.as_str())];
        let response = cluster
            .send(
                Some(admin()),
                Method::GET,
                &format!("{MAPS}?watch=1&resourceVersion=0&timeoutSeconds=1"),
                &headers,
                Body::empty(),
            )
            .await;
        cluster.config_map(&shape.to_lowercase(), "1").await;
        let answer = super::harness::collect(response).await;
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        let line = text.lines().next().unwrap();
        let frame: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(frame["object"]["kind"], kind);
    }
}

#[tokio::test]
async fn watches_end_when_the_server_stops() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1")).await;
    cluster.shutdown.stop();
    assert_eq!(watch.next().await, None);
    assert_eq!(cluster.get("/readyz").await.status, 500);
    assert_eq!(cluster.get("/livez").await.status, 200);
}

#[tokio::test]
async fn events_are_one_store_in_two_forms() {
    let cluster = Cluster::start().await;
    let event = json!({
        "metadata": { "name": "e", "namespace": "default" },
        "involvedObject": { "kind": "Pod", "namespace": "default", "name": "p" },
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
    });
    let uri = "/api/v1/namespaces/default/events";
    let created = cluster.post(uri, &event).await.expect(201);
    let other = "/apis/events.k8s.io/v1/namespaces/default/events";
    for (name, found) in [("p", 1), ("q", 0)] {
        let list = cluster
            .get(&format!("{other}?fieldSelector=regarding.name%3D{name}"))
            .await
            .expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), found);
    }
    let read = cluster.get(&format!("{other}/e")).await.expect(200);
    assert_eq!(read["note"], "it runs");
    assert_eq!(read["metadata"]["uid"], created["metadata"]["uid"]);
    let mut watch = cluster
        .watch(&format!("{other}?watch=1&fieldSelector=regarding.name%3Dp"))
        .await;
    assert_eq!(watch.brief().await, "ADDED e");
}

#[tokio::test]
async fn a_client_may_wait_less_long() {
    let cluster = Cluster::start().await;
    cluster.get("/api?timeout=32s").await.expect(200);
    let wrong = cluster.get("/api?timeout=soon").await.message(400);
    assert!(wrong.starts_with("invalid timeout specified in the request URL"));
}
