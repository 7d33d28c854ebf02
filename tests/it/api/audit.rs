//! The audit log: what is told of a request at each level and stage, by whom and of what.

use super::harness::{Cluster, admin, collect};
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wkube::api::{Audit, AuditLogConfig, AuditMode, Body, UserInfo};
use wkube::stdx::Clock;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn open(folder: &Path, rules: &str, log: PathBuf, mode: AuditMode) -> Result<Arc<Audit>, String> {
    let policy = folder.join("policy.yaml");
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}\n");
    std::fs::write(&policy, text).unwrap();
    let log = AuditLogConfig {
        path: log,
        mode,
        ..AuditLogConfig::default()
    };
    Audit::open(&policy, &log, &Clock::real(), &Default::default())
}

/// A server, and what its log says until it is asked.
async fn audited(rules: &str) -> (Cluster, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = open(folder.path(), rules, path.clone(), AuditMode::Blocking).unwrap();
    (Cluster::audited(audit).await, folder, path)
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn briefs(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .iter()
        .map(|event| {
            let code = &event["responseStatus"]["code"];
            format!("{} {} {code}", text(&event["verb"]), text(&event["stage"]))
        })
        .collect()
}

#[tokio::test]
async fn each_level_tells_so_much() {
    let rules = "
- {level: None, userGroups: ['system:masters'], verbs: [get]}
- {level: RequestResponse, resources: [{resources: [configmaps]}], omitStages: [RequestReceived],
   omitManagedFields: true}
- {level: Request, resources: [{resources: [secrets]}], omitStages: [RequestReceived]}
- {level: Metadata, omitStages: [RequestReceived]}";
    let (cluster, _folder, path) = audited(rules).await;
    let uri = format!("{MAPS}?fieldManager=m");
    let map = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" },
        "data": { "k": "v" } });
    let headers = [("user-agent", "test/1"), ("x-forwarded-for", "192.0.2.7")];
    let made = cluster
        .call(Method::POST, &uri, &headers, map.to_string())
        .await;
    let id = made.headers["audit-id"].to_str().unwrap().to_owned();
    let uid = made.expect(201)["metadata"]["uid"].clone();
    cluster.get(&format!("{MAPS}/a")).await.expect(200);
    let secret = json!({ "metadata": { "generateName": "s" }, "stringData": { "p": "x" } });
    cluster
        .post("/api/v1/namespaces/default/secrets", &secret)
        .await
        .expect(201);
    let pods = "/api/v1/namespaces/default/pods";
    let wrong = cluster
        .post(pods, &json!({ "metadata": { "name": "p" } }))
        .await;
    assert_eq!(wrong.status, 422);
    let events = events(&path);
    assert_eq!(
        briefs(&events),
        [
            "create ResponseComplete 201",
            "create ResponseComplete 201",
            "create ResponseComplete 422",
        ]
    );
    let [whole, request, metadata] = events.as_slice() else {
        panic!("three events");
    };
    assert_eq!(
        (&whole["kind"], &whole["apiVersion"]),
        (&json!("Event"), &json!("audit.k8s.io/v1"))
    );
    assert_eq!(
        (&whole["level"], &whole["auditID"]),
        (&json!("RequestResponse"), &json!(id))
    );
    assert_eq!(whole["requestURI"], json!(uri));
    assert_eq!(whole["userAgent"], "test/1");
    assert_eq!(whole["sourceIPs"], json!(["192.0.2.7", "127.0.0.1"]));
    assert_eq!(whole["user"]["username"], "admin");
    assert_eq!(whole["requestObject"], map);
    assert_eq!(whole["responseObject"]["metadata"]["uid"], uid);
    assert_eq!(
        whole["responseObject"]["metadata"].get("managedFields"),
        None
    );
    assert_eq!(
        whole["annotations"]["authorization.k8s.io/decision"],
        "allow"
    );
    assert_eq!(
        whole["objectRef"],
        json!({ "resource": "configmaps", "namespace": "default", "name": "a",
            "apiVersion": "v1" })
    );
    assert_eq!(request["requestObject"]["stringData"]["p"], "x");
    assert_eq!(request.get("responseObject"), None);
    assert_eq!(metadata.get("requestObject"), None);
    assert_eq!(metadata["objectRef"]["name"], "p");
    assert_eq!(metadata["responseStatus"]["reason"], "Invalid");
}

#[tokio::test]
async fn who_asked_and_whether_he_might() {
    let (cluster, _folder, path) = audited("- level: Metadata").await;
    let jane = UserInfo::new("jane", &["people"]);
    let asked = cluster.send(Some(jane), Method::GET, MAPS, &[], Body::empty());
    assert_eq!(collect(asked.await).await.status, 403);
    let headers = [("impersonate-user", "joe"), ("impersonate-group", "people")];
    let asked = cluster.send(Some(admin()), Method::GET, MAPS, &headers, Body::empty());
    assert_eq!(collect(asked.await).await.status, 403);
    let headers = [("authorization", "Bearer nonsense")];
    let asked = cluster.send(None, Method::GET, MAPS, &headers, Body::empty());
    assert_eq!(collect(asked.await).await.status, 401);
    let events = events(&path);
    assert_eq!(
        briefs(&events),
        [
            "list RequestReceived null",
            "list ResponseComplete 403",
            "list RequestReceived null",
            "list ResponseComplete 403",
            "list ResponseStarted 401",
        ]
    );
    assert_eq!(
        events[1]["annotations"]["authorization.k8s.io/decision"],
        "forbid"
    );
    assert_eq!(events[1]["responseStatus"]["reason"], "Forbidden");
    assert_eq!(events[3]["user"]["username"], "admin");
    assert_eq!(events[3]["impersonatedUser"]["username"], "joe");
    assert_eq!(
        events[4]["responseStatus"]["message"],
        "Authentication failed, attempted: bearer"
    );
    assert_eq!(events[4]["user"], json!({}));
}

#[tokio::test]
async fn a_watch_is_told_at_its_beginning_and_at_its_end() {
    let (cluster, _folder, path) = audited("- {level: RequestResponse, verbs: [watch]}").await;
    let watch = cluster.watch(&format!("{MAPS}?watch=1")).await;
    let stages = [
        "RequestReceived null",
        "ResponseStarted 200",
        "ResponseComplete 200",
    ];
    let stages = stages.map(|stage| format!("watch {stage}"));
    assert_eq!(briefs(&events(&path)), stages[..2]);
    drop(watch);
    assert_eq!(briefs(&events(&path)), stages);
}

#[tokio::test]
async fn what_pods_are_measured_by_is_told() {
    let rules =
        "- {level: Metadata, resources: [{resources: [pods]}], omitStages: [RequestReceived]}";
    let (cluster, _folder, path) = audited(rules).await;
    let labels = json!({ "pod-security.kubernetes.io/audit": "baseline" });
    let namespace = json!({ "metadata": { "name": "n", "labels": labels } });
    cluster
        .post("/api/v1/namespaces", &namespace)
        .await
        .expect(201);
    let account = json!({ "metadata": { "name": "default" } });
    let accounts = "/api/v1/namespaces/n/serviceaccounts";
    cluster.post(accounts, &account).await.expect(201);
    let pod = json!({ "metadata": { "name": "p" },
        "spec": { "hostPID": true, "containers": [{ "name": "c", "image": "x" }] } });
    cluster
        .post("/api/v1/namespaces/n/pods", &pod)
        .await
        .expect(201);
    let events = events(&path);
    let told = &events[0]["annotations"];
    assert_eq!(
        told["pod-security.kubernetes.io/enforce-policy"],
        "privileged:latest"
    );
    let violations = told["pod-security.kubernetes.io/audit-violations"]
        .as_str()
        .unwrap();
    assert!(
        violations.starts_with("would violate PodSecurity \"baseline:latest\": host namespaces"),
        "{violations}"
    );
}

#[tokio::test]
async fn a_strict_log_that_cannot_be_written_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let full = PathBuf::from("/dev/full");
    let rules = "- {level: Metadata, resources: [{resources: [configmaps]}]}";
    let audit = open(folder.path(), rules, full, AuditMode::BlockingStrict).unwrap();
    let cluster = Cluster::audited(audit).await;
    let message = cluster.get(MAPS).await.message(500);
    assert_eq!(
        message,
        "Internal error occurred: failed to store audit event"
    );
    assert_eq!(cluster.get("/api/v1/nodes").await.status, 200);
    let wrong = open(
        folder.path(),
        "- {}",
        folder.path().join("x"),
        AuditMode::Batch,
    );
    let why = wrong.err().unwrap();
    assert!(why.starts_with("rules[0].level: Required value"), "{why}");
}
