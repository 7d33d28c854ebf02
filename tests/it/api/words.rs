//! What clients are told when a request is refused, word for word as Kubernetes tells it: the
//! requests of `tests/golden/api/refusals.yaml`, and what needs more than one request.

use super::harness::{Answer, Cluster, collect};
use http::Method;
use serde_json::{Value, json};
use wkube::api::{Limits, UserInfo};
use wkube::stdx::Clock;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const REFUSALS: &str = include_str!("../../golden/api/refusals.yaml");

#[tokio::test]
async fn refusals_have_kubernetes_words() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    cluster.pod("p", &["c"]).await;
    let cases: Value = serde_yaml::from_str(REFUSALS).unwrap();
    for case in cases.as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let (method, path) = text("request").split_once(' ').unwrap();
        let uri = format!("/api/v1/namespaces/default/{path}");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let media = case["media"].as_str().unwrap_or(JSON);
        let headers = [("content-type", media)];
        let body = text("body").to_owned();
        let answer = cluster.call(method, &uri, &headers, body).await;
        let code = u16::try_from(case["code"].as_u64().unwrap()).unwrap();
        let message = answer.message(code);
        match text("message").strip_suffix("...") {
            Some(start) => assert!(message.starts_with(start), "{case}: {message}"),
            None => assert_eq!(message, text("message"), "{case}"),
        }
    }
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let answer = cluster
        .get_as(&format!("{MAPS}?includeObject=x"), table)
        .await;
    assert_eq!(
        answer.message(400),
        "Unable to convert to Table as requested: includeObject: Invalid value: \"x\": must be \
         'Metadata', 'Object', 'None', or empty"
    );
    // There is no stream of YAML; what is wrong is told in it all the same.
    let watch = format!("{MAPS}?watch=1");
    let answer = cluster.get_as(&watch, "application/yaml").await;
    assert_eq!(answer.status, 406);
    let status: Value = serde_yaml::from_slice(&answer.bytes).unwrap();
    assert_eq!(
        status["message"],
        "only the following media types are accepted: application/json;stream=watch, \
         application/vnd.kubernetes.protobuf;stream=watch"
    );
    // A review is no row of a Table.
    let review = json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let headers = [("accept", table), ("content-type", "application/json")];
    let answer = cluster.call(Method::POST, reviews, &headers, review.to_string());
    assert_eq!(
        answer.await.message(406),
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf"
    );
    // What only a Table reads is nobody else's business.
    cluster
        .get(&format!("{MAPS}?includeObject=x"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_named_watch_sees_its_object_alone() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        cluster.config_map(name, "1").await;
    }
    let uri = "/api/v1/watch/namespaces/default/configmaps/b?timeoutSeconds=1";
    assert_eq!(cluster.watch(uri).await.brief().await, "ADDED b");
    let other = format!("{uri}&fieldSelector=metadata.name%3Da");
    assert_eq!(
        cluster.get(&other).await.message(400),
        "fieldSelector metadata.name doesn't match requested name"
    );
}

#[tokio::test]
async fn owners_that_stand_twice_are_taken_out_with_a_warning() {
    let cluster = Cluster::start().await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"});
    let body = json!({"metadata": {"name": "a", "ownerReferences": [owner, owner]}});
    let made = cluster.post(MAPS, &body).await;
    let warnings = made.warnings();
    assert!(warnings[0].contains("ownerReferences contains duplicate entries; API server dedups"));
    assert!(
        warnings[0].ends_with("duplicate UID(s) observed: 1\""),
        "{warnings:?}"
    );
    assert_eq!(
        made.expect(201)["metadata"]["ownerReferences"],
        json!([owner])
    );
}

#[tokio::test]
async fn who_may_not_create_does_not_by_an_update() {
    let cluster = Cluster::start().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let rules = json!([{"apiGroups": ["", "coordination.k8s.io"], "resources": ["leases", "configmaps"],
        "verbs": ["get", "update", "patch"]}]);
    let role = json!({"metadata": {"name": "r"}, "rules": rules});
    cluster.post(roles, &role).await.expect(201);
    let binding = json!({"metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "u"}]});
    let uri = roles.replace("roles", "rolebindings");
    cluster.post(&uri, &binding).await.expect(201);
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let lease = json!({"metadata": {"name": "x"}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let cases = [
        (
            Method::PATCH,
            format!("{MAPS}/x?fieldManager=m"),
            APPLY,
            &config,
        ),
        (Method::PUT, format!("{leases}/x"), JSON, &lease),
    ];
    for (method, uri, media, body) in cases {
        let send = async |user: UserInfo| -> Answer {
            let headers = [("content-type", media)];
            let body = body.to_string();
            let answer = cluster.send(Some(user), method.clone(), &uri, &headers, body);
            collect(answer.await).await
        };
        let refused = send(UserInfo::new("u", &[])).await.message(403);
        assert!(
            refused.contains("User \"u\" cannot create resource"),
            "{refused}"
        );
        send(super::harness::admin()).await.expect(201);
        // An update it may, if it says of what.
        let status = if method == Method::PATCH { 200 } else { 422 };
        send(UserInfo::new("u", &[])).await.expect(status);
    }
}

#[tokio::test]
async fn a_deletion_that_goes_on_says_so_to_who_asked_in_the_old_way() {
    let cluster = Cluster::start().await;
    let uri = format!("{MAPS}/a");
    let body = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    cluster.post(MAPS, &body).await.expect(201);
    let delete = async |options: Value, status: u16| {
        let answer = cluster.call(Method::DELETE, &uri, &[], options.to_string());
        answer.await.expect(status)["metadata"]["finalizers"].clone()
    };
    let hold = "example.com/hold";
    let cascade = json!({"orphanDependents": false});
    assert_eq!(delete(cascade, 202).await, json!([hold]));
    // How it ends may still be changed.
    let foreground = json!({"propagationPolicy": "Foreground"});
    assert_eq!(
        delete(foreground, 200).await,
        json!([hold, "foregroundDeletion"])
    );
    let background = json!({"propagationPolicy": "Background"});
    assert_eq!(delete(background, 200).await, json!([hold]));
}

#[tokio::test]
async fn a_field_is_owned_in_the_version_that_it_was_written_in() {
    let cluster = Cluster::start().await;
    let ingress = |version: &str, label: Value, backend: Value| {
        json!({"apiVersion": version, "kind": "Ingress", "metadata": {"name": "i", "labels": label},
            "spec": {"rules": [{"http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
    };
    let old = |name: &str| json!({"serviceName": name, "servicePort": 80});
    let new = |name: &str| json!({"service": {"name": name, "port": {"number": 80}}});
    let apply = async |version: &str, manager: &str, label: Value, backend: Value| {
        let uri = format!("/apis/{version}/namespaces/default/ingresses/i?fieldManager={manager}");
        let config = ingress(version, label, backend);
        cluster.patch(&uri, "apply-patch+yaml", &config).await
    };
    let (v1, beta) = ("networking.k8s.io/v1", "extensions/v1beta1");
    apply(beta, "one", json!({}), old("s")).await.expect(201);
    // The same in the other version is the same: both own it.
    apply(v1, "two", json!({"a": "1"}), new("s"))
        .await
        .expect(200);
    let conflict = apply(v1, "two", json!({"a": "1"}), new("t")).await;
    assert_eq!(
        conflict.message(409),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.rules"
    );
    // What a manager no longer applies goes, though it is said in another version.
    let seen = apply(beta, "two", json!({}), old("s")).await.expect(200);
    assert_eq!(seen["metadata"].get("labels"), None, "{seen}");
    let owners = seen["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(owners.len(), 2);
    assert!(
        owners.iter().all(|owner| owner["apiVersion"] == beta),
        "{owners:?}"
    );
}

#[tokio::test]
async fn what_admission_adds_is_nobodys() {
    let cluster = Cluster::start().await;
    let pod = cluster.pod("p", &["c"]).await;
    assert!(pod["spec"]["tolerations"].is_array() && pod["spec"]["priority"] == 0);
    let owned = &pod["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
    assert!(owned["f:restartPolicy"].is_object());
    for added in ["f:tolerations", "f:priority", "f:serviceAccountName"] {
        assert!(owned.get(added).is_none(), "{owned}");
    }
}

#[tokio::test]
async fn a_grace_can_only_be_shortened_and_counts_from_the_first_deletion() {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let cluster = Cluster::with(Limits::default(), Clock::virtual_from(start)).await;
    cluster.pod("p", &["c"]).await;
    let pod = "/api/v1/namespaces/default/pods/p";
    let binding = json!({"target": {"kind": "Node", "name": "n"}});
    let uri = format!("{pod}/binding");
    cluster.post(&uri, &binding).await.expect(201);
    for (asked, kept, until) in [
        (20, 20, "2026-01-01T00:00:20Z"),
        (30, 20, "2026-01-01T00:00:20Z"),
        (5, 5, "2026-01-01T00:00:05Z"),
    ] {
        let uri = format!("{pod}?gracePeriodSeconds={asked}");
        let metadata = &cluster.delete(&uri).await.expect(200)["metadata"];
        assert_eq!(metadata["deletionGracePeriodSeconds"], kept, "{asked}");
        assert_eq!(metadata["deletionTimestamp"], until, "{asked}");
    }
    cluster
        .delete(&format!("{pod}?gracePeriodSeconds=0"))
        .await
        .expect(200);
    cluster.get(pod).await.expect(404);
}

#[tokio::test]
async fn what_every_cluster_needs_is_not_deleted() {
    let cluster = Cluster::start().await;
    let class = "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical";
    assert_eq!(
        cluster.delete(class).await.message(403),
        "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system \
         priority class and cannot be deleted"
    );
    assert_eq!(
        cluster
            .delete("/api/v1/namespaces/kube-system")
            .await
            .message(403),
        "namespaces \"kube-system\" is forbidden: this namespace may not be deleted"
    );
}
