//! Priority and fairness through the API: what is there from the start and comes back, which schema
//! a request belongs to, and what is said when a level is full.

use super::harness::{Cluster, admin, collect};
use http::Method;
use serde_json::{Value, json};
use wkube::api::{Body, Limits, UserInfo};
use wkube::stdx::Clock;

const FLOWS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

fn jane() -> UserInfo {
    UserInfo::new("jane", &["system:authenticated"])
}

/// Everything of `jane` belongs to the level `small`, which serves one request at a time.
async fn small_level(cluster: &Cluster, response: Value) {
    let limited = json!({ "nominalConcurrencyShares": 1, "lendablePercent": 0,
        "borrowingLimitPercent": 0, "limitResponse": response });
    let level = json!({ "metadata": { "name": "small" },
        "spec": { "type": "Limited", "limited": limited } });
    cluster.post(LEVELS, &level).await.expect(201);
    let flow = json!({ "metadata": { "name": "jane" }, "spec": {
        "priorityLevelConfiguration": { "name": "small" },
        "matchingPrecedence": 5,
        "distinguisherMethod": { "type": "ByUser" },
        "rules": [{
            "subjects": [{ "kind": "User", "user": { "name": "jane" } }],
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                "namespaces": ["*"], "clusterScope": true }],
        }],
    } });
    cluster.post(FLOWS, &flow).await.expect(201);
    let binding = json!({ "metadata": { "name": "jane" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "cluster-admin" },
        "subjects": [{ "kind": "User", "name": "jane" }] });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    cluster.post(bindings, &binding).await.expect(201);
}

#[tokio::test]
async fn what_kubernetes_has_is_there_and_comes_back() {
    let cluster = Cluster::start().await;
    let flows = cluster.get(FLOWS).await.expect(200);
    assert_eq!(
        names(&flows),
        [
            "catch-all",
            "exempt",
            "global-default",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-system-service-accounts",
            "probes",
            "service-accounts",
            "system-leader-election",
            "system-node-high",
            "system-nodes",
        ]
    );
    for flow in flows["items"].as_array().unwrap() {
        let condition = &flow["status"]["conditions"][0];
        assert_eq!(condition["type"], "Dangling");
        assert_eq!(condition["reason"], "Found");
    }
    let levels = cluster.get(LEVELS).await.expect(200);
    assert_eq!(
        names(&levels),
        [
            "catch-all",
            "exempt",
            "global-default",
            "leader-election",
            "node-high",
            "system",
            "workload-high",
            "workload-low",
        ]
    );
    let mut watch = cluster
        .watch(&format!("{LEVELS}?watch=1&resourceVersion=0"))
        .await;
    for _ in 0..8 {
        watch.next().await;
    }
    let gone = cluster.delete(&format!("{LEVELS}/catch-all")).await;
    gone.expect(200);
    assert_eq!(watch.brief().await, "DELETED catch-all");
    assert_eq!(watch.brief().await, "ADDED catch-all");
}

#[tokio::test]
async fn a_schema_says_whether_its_level_is_there() {
    let cluster = Cluster::start().await;
    let flow = json!({ "metadata": { "name": "f" }, "spec": {
        "priorityLevelConfiguration": { "name": "l" },
        "rules": [{
            "subjects": [{ "kind": "User", "user": { "name": "u" } }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["/x"] }],
        }],
    } });
    let uri = format!("{FLOWS}?watch=1&fieldSelector=metadata.name=f");
    let mut watch = cluster.watch(&uri).await;
    cluster.post(FLOWS, &flow).await.expect(201);
    assert_eq!(watch.brief().await, "ADDED f");
    let condition = watch.next().await.unwrap()["object"]["status"]["conditions"][0].clone();
    assert_eq!(condition["status"], "True");
    assert_eq!(
        condition["message"],
        "This FlowSchema references the PriorityLevelConfiguration object named \"l\" but there is \
         no such object"
    );
    let level = json!({ "metadata": { "name": "l" },
        "spec": { "type": "Limited", "limited": { "limitResponse": { "type": "Reject" } } } });
    cluster.post(LEVELS, &level).await.expect(201);
    let condition = watch.next().await.unwrap()["object"]["status"]["conditions"][0].clone();
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("False"), &json!("Found"))
    );
}

#[tokio::test]
async fn an_answer_tells_by_which_schema_it_was_let_in() {
    let cluster = Cluster::start().await;
    let uid = async |uri: String| {
        let object = cluster.get(&uri).await.expect(200);
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    for (user, flow, level) in [
        (admin(), "exempt", "exempt"),
        (jane(), "global-default", "global-default"),
        (
            UserInfo::service_account("kube-system", "x"),
            "kube-system-service-accounts",
            "workload-high",
        ),
        (
            UserInfo::service_account("other", "x"),
            "service-accounts",
            "workload-low",
        ),
        (
            UserInfo::new("system:node:n", &["system:nodes"]),
            "system-nodes",
            "system",
        ),
    ] {
        let asked = cluster.send(Some(user), Method::GET, MAPS, &[], Body::empty());
        let answer = asked.await;
        let told = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let flow = uid(format!("{FLOWS}/{flow}")).await;
        let level = uid(format!("{LEVELS}/{level}")).await;
        assert_eq!(told("x-kubernetes-pf-flowschema-uid"), flow);
        assert_eq!(told("x-kubernetes-pf-prioritylevel-uid"), level);
    }
}

/// A body that never ends holds its place.
fn endless() -> (tokio::io::DuplexStream, Body) {
    let (held, body) = tokio::io::duplex(16);
    let body = tokio_util::io::ReaderStream::new(body);
    (held, Body::from_stream(body))
}

#[tokio::test]
async fn a_full_level_refuses_in_kubernetes_words_and_others_do_not_notice() {
    let limits = Limits {
        mutating_in_flight_max: 100,
        reading_in_flight_max: 100,
        ..Limits::default()
    };
    let cluster = Cluster::with(limits, Clock::real()).await;
    small_level(&cluster, json!({ "type": "Reject" })).await;
    let (held, body) = endless();
    let holding = cluster.send(Some(jane()), Method::POST, MAPS, &[], body);
    let refused = async {
        let asked = cluster.send(Some(jane()), Method::GET, MAPS, &[], Body::empty());
        let answer = collect(asked.await).await;
        let other = cluster.get(MAPS).await;
        assert_eq!(other.status, 200);
        answer
    };
    let refused = tokio::select! {
        biased;
        answer = holding => panic!("the body has not ended: {answer:?}"),
        refused = refused => refused,
    };
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.bytes,
        "Too many requests, please try again later.\n"
    );
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(
        refused
            .headers
            .contains_key("x-kubernetes-pf-flowschema-uid")
    );
    drop(held);
    // The one who held the place has gone, and with it the place.
    let asked = cluster.send(Some(jane()), Method::GET, MAPS, &[], Body::empty());
    assert_eq!(asked.await.status(), 200);
    let figures = cluster.get("/metrics").await;
    let figures = String::from_utf8_lossy(&figures.bytes).into_owned();
    for line in [
        "apiserver_flowcontrol_rejected_requests_total{priority_level=\"small\",\
         flow_schema=\"jane\",reason=\"concurrency-limit\"} 1",
        "apiserver_flowcontrol_current_executing_requests{priority_level=\"small\"} 0.0",
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}

#[tokio::test]
async fn what_waits_is_served_when_there_is_room_and_leaves_when_its_client_does() {
    let limits = Limits {
        mutating_in_flight_max: 100,
        reading_in_flight_max: 100,
        ..Limits::default()
    };
    let cluster = Cluster::with(limits, Clock::real()).await;
    let queuing = json!({ "queues": 1, "handSize": 1, "queueLengthLimit": 2 });
    small_level(&cluster, json!({ "type": "Queue", "queuing": queuing })).await;
    let (held, body) = endless();
    let mut holding = Box::pin(cluster.send(Some(jane()), Method::POST, MAPS, &[], body));
    let asked = || Box::pin(cluster.send(Some(jane()), Method::GET, MAPS, &[], Body::empty()));
    let (mut first, mut gone) = (asked(), asked());
    for waiting in [&mut holding, &mut first, &mut gone] {
        assert!(futures::poll!(waiting).is_pending());
    }
    let full = asked().await;
    assert_eq!(full.status(), 429);
    // A client that vanishes leaves its place in the queue.
    drop(gone);
    let mut second = asked();
    assert!(futures::poll!(&mut second).is_pending());
    drop(holding);
    drop(held);
    assert_eq!(first.await.status(), 200);
    assert_eq!(second.await.status(), 200);
}
