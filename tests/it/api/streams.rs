//! Logs, proxies and port-forwards: what is passed on, and what is said when that fails.

use super::harness::{Cluster, admin, collect};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wkube::api::{Body, UserInfo};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A pod that is bound to a node and has an address.
async fn running(cluster: &Cluster, name: &str, containers: &[&str]) -> Value {
    cluster.pod(name, containers).await;
    let binding = json!({ "target": { "kind": "Node", "name": "n1" } });
    let uri = format!("{PODS}/{name}/binding");
    cluster.post(&uri, &binding).await.expect(201);
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": "10.0.0.9",
        "podIPs": [{ "ip": "10.0.0.9" }],
    } });
    let uri = format!("{PODS}/{name}/status");
    let patched = cluster.patch(&uri, "merge-patch+json", &status).await;
    patched.expect(200)
}

/// Reads a request's head and answers with this.
async fn answer_once(mut stream: tokio::io::DuplexStream, answer: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn logs_come_from_the_node() {
    let cluster = Cluster::start().await;
    running(&cluster, "p", &["c"]).await;
    let node = cluster.net.expect().await;
    let asked = tokio::spawn(answer_once(
        node,
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n",
    ));
    let uri = format!("{PODS}/p/log?tailLines=3&timestamps=true&sinceTime=2026-01-01T00:00:00Z");
    let answer = cluster.get(&uri).await;
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.bytes, "hello\n");
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with(
            "GET /containerLogs/default/p/c?tailLines=3&timestamps=true\
             &sinceTime=2026-01-01T00%3A00%3A00Z HTTP/1.1\r\n"
        ),
        "{asked}"
    );
    assert!(
        asked.contains("authorization: Bearer of-the-node\r\n"),
        "{asked}"
    );
}

#[tokio::test]
async fn logs_ask_for_a_container_in_kubernetes_words() {
    let cluster = Cluster::start().await;
    running(&cluster, "p", &["a", "b"]).await;
    let uri = format!("{PODS}/p/log");
    assert_eq!(
        cluster.get(&uri).await.message(400),
        "a container name must be specified for pod p, choose one of: [a b]"
    );
    assert_eq!(
        cluster
            .get(&format!("{uri}?container=x"))
            .await
            .message(400),
        "container x is not valid for pod p"
    );
    let wrong = cluster
        .get(&format!("{uri}?container=a&tailLines=-1"))
        .await;
    assert!(wrong.message(422).contains("tailLines: Invalid value: -1"));
    let both = "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z";
    let wrong = cluster.get(&format!("{uri}?container=a&{both}")).await;
    assert!(wrong.message(422).contains("at most one of"));
    let waiting = "container \"a\" in pod \"p\" is waiting to start: ContainerCreating";
    let node = cluster.net.expect().await;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{waiting}",
        waiting.len()
    );
    let asked = tokio::spawn(async move { answer_once(node, &answer).await });
    let refused = cluster.get(&format!("{uri}?container=a")).await;
    assert_eq!(refused.message(400), waiting);
    asked.await.unwrap();
}

#[tokio::test]
async fn a_proxied_request_reaches_the_pod_without_credentials() {
    let cluster = Cluster::start().await;
    running(&cluster, "p", &["c"]).await;
    let pod = cluster.net.expect().await;
    let asked = tokio::spawn(answer_once(
        pod,
        "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 2\r\n\r\nok",
    ));
    let uri = format!("{PODS}/p:8080/proxy/a%2Fb/?q=1");
    let headers = [("authorization", "Bearer admin-token"), ("x-own", "1")];
    let response = cluster
        .send(Some(admin()), Method::GET, &uri, &headers, Body::empty())
        .await;
    let answer = collect(response).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.bytes, "ok");
    assert_eq!(
        answer.headers["location"],
        format!("{PODS}/p:8080/proxy/there")
    );
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /a%2Fb/?q=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("x-own: 1\r\n"), "{asked}");
    assert!(!asked.contains("admin-token"), "{asked}");
    assert_eq!(
        *cluster.net.dialed.lock().await,
        ["10.0.0.9:8080".parse().unwrap()]
    );
    let bare = cluster.get(&format!("{PODS}/p/proxy")).await;
    assert_eq!(bare.status, 301);
    assert_eq!(bare.headers["location"], format!("{PODS}/p/proxy/"));
    let refused = cluster.get(&format!("{PODS}/p:81/proxy/")).await;
    assert_eq!(
        refused.message(503),
        "error trying to reach service: dial tcp 10.0.0.9:81: connect: connection refused"
    );
}

#[tokio::test]
async fn pods_that_are_nowhere_are_not_reached() {
    let cluster = Cluster::start().await;
    cluster.pod("p", &["c"]).await;
    let log = cluster.get(&format!("{PODS}/p/log")).await;
    assert_eq!((log.status.as_u16(), log.bytes.len()), (200, 0));
    let proxied = cluster.get(&format!("{PODS}/p:80/proxy/")).await;
    assert_eq!(proxied.message(400), "address not allowed");
    let forward = cluster.get(&format!("{PODS}/p/portforward")).await;
    assert_eq!(forward.message(400), "pod p does not have a host assigned");
    running(&cluster, "q", &["c"]).await;
    let forward = cluster.get(&format!("{PODS}/q/portforward")).await;
    assert_eq!(forward.message(400), "Upgrade request required");
    for what in ["exec", "attach"] {
        let unbound = cluster.get(&format!("{PODS}/p/{what}?stdout=1")).await;
        assert_eq!(unbound.message(400), "pod p does not have a host assigned");
        let plain = cluster.get(&format!("{PODS}/q/{what}?stdout=1")).await;
        assert_eq!(plain.message(400), "Upgrade request required");
        let other = cluster.get(&format!("{PODS}/q/{what}?container=x")).await;
        assert_eq!(other.message(400), "container x is not valid for pod q");
        let missing = cluster.get(&format!("{PODS}/none/{what}")).await;
        assert_eq!(missing.message(404), "pods \"none\" not found");
    }
}

#[tokio::test]
async fn an_upgrade_is_passed_on_to_the_node() {
    let cluster = Cluster::start().await;
    running(&cluster, "p", &["a", "b"]).await;
    let node = cluster.net.expect().await;
    let words = "container not found (\"b\")";
    let answer = format!(
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: {}\r\n\r\n{words}",
        words.len()
    );
    let asked = tokio::spawn(async move { answer_once(node, &answer).await });
    let uri = format!(
        "{PODS}/p/exec?container=b&stdin=true&stdout=true&stderr=false&command=a%20b&command=-c"
    );
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ("authorization", "Bearer admin-token"),
    ];
    let response = cluster
        .send(Some(admin()), Method::POST, &uri, &headers, Body::empty())
        .await;
    let answer = collect(response).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.bytes[..]),
        (500, words.as_bytes())
    );
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with(
            "POST /exec/default/p/b?input=1&output=1&command=a%20b&command=-c HTTP/1.1\r\n"
        ),
        "{asked}"
    );
    assert!(asked.contains("upgrade: SPDY/3.1\r\n"), "{asked}");
    assert!(
        asked.contains("authorization: Bearer of-the-node\r\n"),
        "{asked}"
    );
    assert!(!asked.contains("admin-token"), "{asked}");
}

/// A WebSocket is opened by a GET, and a role that may only get must not act inside of a pod.
#[tokio::test]
async fn streams_into_a_pod_need_create_however_they_are_opened() {
    let cluster = Cluster::start().await;
    running(&cluster, "p", &["c"]).await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({ "metadata": { "name": "reads" }, "rules": [
        { "apiGroups": [""], "resources": ["pods", "pods/exec", "pods/attach", "pods/portforward"], "verbs": ["get"] },
    ] });
    cluster
        .post(&format!("{rbac}/roles"), &role)
        .await
        .expect(201);
    let binding = json!({
        "metadata": { "name": "reads" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads" },
        "subjects": [{ "kind": "User", "name": "jane" }],
    });
    let bound = cluster
        .post(&format!("{rbac}/rolebindings"), &binding)
        .await;
    bound.expect(201);
    let jane = || Some(UserInfo::new("jane", &["system:authenticated"]));
    for what in ["exec", "attach", "portforward"] {
        let uri = format!("{PODS}/p/{what}?stdout=1");
        let asked = |method| cluster.send(jane(), method, &uri, &[], Body::empty());
        let got = collect(asked(Method::GET).await).await;
        assert_eq!(got.message(403), "pods \"p\" is forbidden: ");
        let posted = collect(asked(Method::POST).await).await.message(403);
        assert!(
            posted.contains("cannot create resource \"pods/"),
            "{posted}"
        );
    }
}
