//! Limits, each through the API, and clients that mean harm or vanish: each is told so in
//! Kubernetes' words or cut off, and nothing of it is left behind.

use super::harness::{Cluster, admin, collect};
use bytes::Bytes;
use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wkube::api::{Body, Limits};
use wkube::stdx::Clock;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// What is open or being served, as the server tells it.
async fn left_behind(cluster: &Cluster) -> Vec<String> {
    let figures = cluster.get("/metrics").await;
    let figures = String::from_utf8_lossy(&figures.bytes).into_owned();
    let open = [
        "apiserver_longrunning_requests{",
        "apiserver_flowcontrol_current_executing_requests{",
        "apiserver_flowcontrol_current_executing_seats{",
        "apiserver_flowcontrol_current_inqueue_requests{",
        "apiserver_current_inflight_requests{request_kind=\"mutating\"",
        "wkube_api_watchers{group=\"\",resource=\"configmaps\"",
        "wkube_store_queued_writes",
    ];
    let lines = figures.lines().filter(|line| {
        let value = line
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok());
        open.iter().any(|name| line.starts_with(name)) && value != Some(0.0)
    });
    lines.map(str::to_owned).collect()
}

fn map_of(text: &str) -> Value {
    json!({ "metadata": { "generateName": "m" }, "data": { "k": text } })
}

#[tokio::test]
async fn bodies_are_as_long_as_kubernetes_takes_them() {
    let cluster = Cluster::start().await;
    let long = cluster.post(MAPS, &map_of(&"x".repeat(3 << 20))).await;
    assert_eq!(
        long.message(413),
        "Request entity too large: limit is 3145728"
    );
    // One that never ends is not read to its end.
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let pieces = futures::stream::repeat(Bytes::from(vec![b' '; 64 << 10])).take(1_600);
    let body = Body::from_stream(pieces.map(move |piece| {
        counted.fetch_add(piece.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece)
    }));
    let answer = cluster
        .send(Some(admin()), Method::POST, MAPS, &[], body)
        .await;
    assert_eq!(collect(answer).await.status, 413);
    assert!(read.load(Ordering::Relaxed) < 4 << 20);
    assert_eq!(left_behind(&cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn objects_are_as_large_as_etcd_takes_them() {
    let cluster = Cluster::start().await;
    let env: Vec<Value> = (0..17)
        .map(|at| json!({ "name": format!("E{at}"), "value": "x".repeat(100 << 10) }))
        .collect();
    let containers = json!([{ "name": "c", "image": "x", "env": env }]);
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": containers } });
    let large = cluster.post(PODS, &pod).await.expect(500);
    assert_eq!(large["message"], "etcdserver: request is too large");
    assert_eq!(large.get("reason"), None);
    // Longer as JSON than in the form that Kubernetes stores.
    let quotes = cluster.post(MAPS, &map_of(&"\"".repeat(1_000_000))).await;
    quotes.expect(201);
    let more = cluster
        .post(MAPS, &map_of(&"x".repeat((1 << 20) + 1)))
        .await;
    assert!(
        more.message(422)
            .contains("Too long: may not be more than 1048576 bytes")
    );
}

#[tokio::test]
async fn what_is_deep_or_multiplies_is_refused() {
    let cluster = Cluster::start().await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let json = format!("{{\"metadata\":{{\"name\":\"d\"}},\"data\":{deep}}}");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for at in 1..12 {
        let last = at - 1;
        let items = vec![format!("*a{last}"); 9].join(", ");
        bomb += &format!("a{at}: &a{at} [{items}]\n");
    }
    let yaml = "application/yaml";
    let apply = "application/apply-patch+yaml";
    let merge = "application/merge-patch+json";
    let protobuf = "application/vnd.kubernetes.protobuf";
    let rubbish = vec![0xff; 4_096];
    let cases: [(Method, &str, &str, Vec<u8>); 8] = [
        (Method::POST, MAPS, "application/json", json.clone().into()),
        (Method::POST, MAPS, yaml, json.clone().into()),
        (Method::POST, MAPS, yaml, bomb.clone().into()),
        (Method::PATCH, "x", apply, bomb.into()),
        (Method::PATCH, "x", merge, json.into()),
        (Method::POST, MAPS, protobuf, rubbish.clone()),
        (Method::POST, MAPS, "application/json", rubbish.clone()),
        (Method::POST, MAPS, yaml, rubbish),
    ];
    cluster.config_map("x", "1").await;
    for (method, name, media, body) in cases {
        let uri = match name {
            "x" => format!("{MAPS}/x?fieldManager=m"),
            uri => uri.to_owned(),
        };
        let headers = [("content-type", media)];
        let answer = cluster.call(method, &uri, &headers, body).await;
        assert_eq!(answer.status, 400, "{media}");
        assert_eq!(answer.json()["kind"], "Status", "{media}");
    }
    assert_eq!(left_behind(&cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn clients_that_vanish_leave_nothing() {
    let cluster = Cluster::start().await;
    cluster.config_map("m", "1").await;
    for _ in 0..20 {
        let uri = format!("{MAPS}?watch=1");
        let mut watch = cluster.watch(&uri).await;
        assert_eq!(watch.brief().await, "ADDED m");
        drop(watch);
        // One that goes before it is answered.
        let mut asked = Box::pin(cluster.send(
            Some(admin()),
            Method::POST,
            MAPS,
            &[],
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()),
        ));
        assert!(futures::poll!(&mut asked).is_pending());
    }
    assert_eq!(left_behind(&cluster).await, Vec::<String>::new());
}

/// A body that comes too slowly ends with the request's time.
#[tokio::test(start_paused = true)]
async fn slow_clients_have_so_much_time() {
    let clock = Clock::virtual_from(jiff::Timestamp::UNIX_EPOCH);
    let cluster = Cluster::with(Limits::default(), clock).await;
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = cluster
        .send(Some(admin()), Method::POST, MAPS, &[], body)
        .await;
    assert_eq!(
        collect(answer).await.message(504),
        "Timeout: request did not complete within the allotted timeout"
    );
    assert_eq!(left_behind(&cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn paths_that_lead_elsewhere_lead_nowhere() {
    let cluster = Cluster::start().await;
    for (uri, status) in [
        ("/api/v1/namespaces/default/configmaps/..%2Fsecrets", 404),
        ("/api/v1/namespaces/../nodes", 404),
        ("/api/v1/namespaces/default/configmaps/%ff%fe", 400),
        ("/api/v1/namespaces/default%2Fx/configmaps", 200),
        ("/api/v1/configmaps/x", 404),
    ] {
        let answer = cluster.get(uri).await;
        assert_eq!(answer.status.as_u16(), status, "{uri}");
    }
    let long = format!("{MAPS}?labelSelector={}", "a,".repeat(20_000));
    assert!(cluster.get(&long).await.status.as_u16() <= 400);
}
