//! Roles and bindings: what they allow, what may be given away, and acting as somebody else.

use super::harness::{Answer, Cluster, admin, collect};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use wkube::api::{Limits, UserInfo};
use wkube::stdx::Clock;
use wkube::store::{MemoryStore, Store, StoreOptions};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn jane() -> UserInfo {
    UserInfo::new("jane", &["dev"])
}

async fn send(
    cluster: &Cluster,
    user: UserInfo,
    method: Method,
    uri: &str,
    body: &Value,
) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("content-type", "application/json")];
    collect(cluster.send(Some(user), method, uri, &headers, body).await).await
}

async fn get(cluster: &Cluster, user: UserInfo, uri: &str) -> Answer {
    send(cluster, user, Method::GET, uri, &Value::Null).await
}

async fn post(cluster: &Cluster, user: UserInfo, uri: &str, body: &Value) -> Answer {
    send(cluster, user, Method::POST, uri, body).await
}

/// A role and its binding in `default`.
async fn give(cluster: &Cluster, name: &str, rule: Value, subject: Value) {
    let role = json!({"metadata": {"name": name}, "rules": [rule]});
    let roles = format!("{RBAC}/namespaces/default/roles");
    cluster.post(&roles, &role).await.expect(201);
    bind(cluster, name, ("Role", name), subject).await;
}

async fn bind(cluster: &Cluster, name: &str, (kind, role): (&str, &str), subject: Value) {
    let binding = binding(name, (kind, role), subject);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    cluster.post(&bindings, &binding).await.expect(201);
}

fn binding(name: &str, (kind, role): (&str, &str), subject: Value) -> Value {
    json!({"metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn rule(verbs: &[&str], resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [""], "resources": resources})
}

#[tokio::test]
async fn a_binding_gives_what_its_role_allows_at_once_and_no_longer_than_it_stands() {
    let cluster = Cluster::start().await;
    let refused = "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the \
                   namespace \"default\"";
    assert_eq!(get(&cluster, jane(), PODS).await.message(403), refused);
    give(
        &cluster,
        "read",
        rule(&["get", "list"], &["pods"]),
        user("jane"),
    )
    .await;
    get(&cluster, jane(), PODS).await.expect(200);
    get(&cluster, jane(), "/api/v1/namespaces/kube-system/pods")
        .await
        .expect(403);
    get(&cluster, jane(), "/api/v1/pods").await.expect(403);
    // What the role allows changes with it.
    let uri = format!("{RBAC}/namespaces/default/roles/read");
    let narrow = json!({"rules": [rule(&["get"], &["pods"])]});
    cluster
        .patch(&uri, "merge-patch+json", &narrow)
        .await
        .expect(200);
    assert_eq!(get(&cluster, jane(), PODS).await.message(403), refused);
    let wide = json!({"rules": [rule(&["*"], &["pods"])]});
    cluster
        .patch(&uri, "merge-patch+json", &wide)
        .await
        .expect(200);
    get(&cluster, jane(), PODS).await.expect(200);
    // A role that is not there is told.
    cluster.delete(&uri).await.expect(200);
    assert_eq!(
        get(&cluster, jane(), PODS).await.message(403),
        format!("{refused}: RBAC: role.rbac.authorization.k8s.io \"read\" not found")
    );
    let uri = format!("{RBAC}/namespaces/default/rolebindings/read");
    cluster.delete(&uri).await.expect(200);
    assert_eq!(get(&cluster, jane(), PODS).await.message(403), refused);
}

#[tokio::test]
async fn groups_and_service_accounts_have_roles_too() {
    let cluster = Cluster::start().await;
    bind(
        &cluster,
        "devs",
        ("ClusterRole", "view"),
        json!({"kind": "Group", "name": "dev"}),
    )
    .await;
    get(&cluster, jane(), PODS).await.expect(200);
    get(&cluster, jane(), "/api/v1/namespaces/default/secrets")
        .await
        .expect(403);
    let robot = UserInfo::service_account("default", "robot");
    get(&cluster, robot.clone(), PODS).await.expect(403);
    // Without a namespace, the binding's own is meant.
    let subject = json!({"kind": "ServiceAccount", "name": "robot"});
    bind(&cluster, "robot", ("ClusterRole", "edit"), subject).await;
    get(
        &cluster,
        robot.clone(),
        "/api/v1/namespaces/default/secrets",
    )
    .await
    .expect(200);
    let access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let asked = json!({"spec": {"resourceAttributes":
        {"namespace": "default", "verb": "delete", "resource": "pods"}}});
    let told = post(&cluster, robot, access, &asked).await.expect(201);
    assert_eq!(
        told["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"robot/default\" of \
            ClusterRole \"edit\" to ServiceAccount \"robot/default\""})
    );
    let mut other = binding("x", ("ClusterRole", "edit"), user("u"));
    other["roleRef"]["name"] = json!("view");
    let uri = format!("{RBAC}/namespaces/default/rolebindings/robot");
    other["metadata"]["name"] = json!("robot");
    let refused = cluster.put(&uri, &other).await.message(422);
    assert!(refused.contains("cannot change roleRef"), "{refused}");
}

#[tokio::test]
async fn what_one_may_do_is_listed() {
    let cluster = Cluster::start().await;
    let mut named = rule(&["get"], &["secrets"]);
    named["resourceNames"] = json!(["mine"]);
    give(&cluster, "mine", named.clone(), user("jane")).await;
    let uri = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let asked = json!({"spec": {"namespace": "default"}});
    let told = post(&cluster, jane(), uri, &asked).await.expect(201);
    let rules = told["status"]["resourceRules"].as_array().unwrap();
    assert!(rules.contains(&named), "{rules:?}");
    let paths = &told["status"]["nonResourceRules"];
    assert!(paths.to_string().contains("/openapi/*"), "{paths}");
    assert!(told["status"].get("evaluationError").is_none());
    let secret = |name: &str| format!("/api/v1/namespaces/default/secrets/{name}");
    get(&cluster, jane(), &secret("mine")).await.expect(404);
    get(&cluster, jane(), &secret("other")).await.expect(403);
    // A node is told that there is more than the list has.
    let node = UserInfo::new("system:node:n", &["system:nodes"]);
    let told = post(&cluster, node, uri, &asked).await.expect(201);
    assert_eq!(
        told["status"]["evaluationError"],
        "node authorizer does not support user rule resolution"
    );
}

#[tokio::test]
async fn the_components_have_what_kubernetes_gives_them() {
    let cluster = Cluster::start().await;
    let scheduler = || UserInfo::new("system:kube-scheduler", &[]);
    get(&cluster, scheduler(), "/api/v1/pods").await.expect(200);
    get(&cluster, scheduler(), "/api/v1/secrets")
        .await
        .expect(403);
    let manager = || UserInfo::new("system:kube-controller-manager", &[]);
    get(&cluster, manager(), "/api/v1/secrets")
        .await
        .expect(200);
    let pod = json!({"metadata": {"name": "p"}});
    post(&cluster, manager(), PODS, &pod).await.expect(403);
    // Nobody in particular may see that the server lives, and not much more.
    for (uri, status) in [
        ("/version", 200),
        ("/livez", 200),
        ("/metrics", 403),
        ("/apis", 403),
    ] {
        let answer = cluster
            .send(None, Method::GET, uri, &[], String::new())
            .await;
        assert_eq!(answer.status(), status, "{uri}");
    }
}

#[tokio::test]
async fn nobody_gives_away_what_he_has_not() {
    let cluster = Cluster::start().await;
    give(
        &cluster,
        "roles",
        json!({"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"]}),
        user("jane"),
    )
    .await;
    // `*` has `escalate` and `bind` in it.
    let roles = format!("{RBAC}/namespaces/default/roles");
    let all = json!({"metadata": {"name": "all"}, "rules": [rule(&["get", "list"], &["pods"])]});
    post(&cluster, jane(), &roles, &all).await.expect(201);

    give(
        &cluster,
        "writer",
        json!({"verbs": ["create", "update", "patch"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"]}),
        user("joe"),
    )
    .await;
    give(&cluster, "pods", rule(&["get"], &["pods"]), user("joe")).await;
    let joe = || UserInfo::new("joe", &["dev"]);
    let wide = json!({"metadata": {"name": "r"},
        "rules": [rule(&["get", "list", "watch"], &["pods"]), rule(&["get"], &["secrets"])]});
    let refused = post(&cluster, joe(), &roles, &wide);
    assert_eq!(
        refused.await.message(403),
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"joe\" (groups=[\"dev\" \
         \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"watch\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let own = json!({"metadata": {"name": "r"}, "rules": [rule(&["get"], &["pods"])]});
    post(&cluster, joe(), &roles, &own).await.expect(201);
    let more = json!({"rules": [rule(&["delete"], &["pods"])]});
    let uri = format!("{roles}/r");
    let headers = [("content-type", "application/merge-patch+json")];
    let answer = cluster.send(Some(joe()), Method::PATCH, &uri, &headers, more.to_string());
    collect(answer.await).await.expect(403);
    // What only the collector needs is not looked at.
    let held = json!({"metadata": {"finalizers": ["a/b"]}});
    let answer = cluster.send(Some(joe()), Method::PATCH, &uri, &headers, held.to_string());
    collect(answer.await).await.expect(200);

    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    let admin_of = binding("b", ("ClusterRole", "cluster-admin"), user("joe"));
    let refused = post(&cluster, joe(), &bindings, &admin_of)
        .await
        .message(403);
    assert!(
        refused.ends_with(
            "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n\
            {NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"
        ),
        "{refused}"
    );
    let none = binding("b", ("Role", "none"), user("joe"));
    let told = post(&cluster, joe(), &bindings, &none).await.message(404);
    assert_eq!(told, "roles.rbac.authorization.k8s.io \"none\" not found");
    post(
        &cluster,
        joe(),
        &bindings,
        &binding("b", ("Role", "r"), user("x")),
    )
    .await
    .expect(201);
    give(
        &cluster,
        "binder",
        json!({"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"], "resourceNames": ["cluster-admin"]}),
        user("joe"),
    )
    .await;
    post(
        &cluster,
        joe(),
        &bindings,
        &binding("c", ("ClusterRole", "cluster-admin"), user("x")),
    )
    .await
    .expect(201);
}

#[tokio::test]
async fn a_start_adds_what_is_missing_and_writes_nothing_else() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(StoreOptions::default()));
    let start = || Cluster::on(store.clone(), Limits::default(), Clock::real());
    let first = start().await;
    let after = first.server.revision();
    first.server.close();
    let second = start().await;
    assert_eq!(second.server.revision(), after);
    let uri = format!("{RBAC}/clusterroles/system:basic-user");
    second.delete(&uri).await.expect(200);
    let uri = format!("{RBAC}/clusterrolebindings/system:discovery");
    let none = json!({"subjects": []});
    let told = second
        .patch(&uri, "merge-patch+json", &none)
        .await
        .expect(200);
    get(&second, jane(), "/api").await.expect(403);
    second.server.close();
    let third = start().await;
    let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    post(&third, jane(), who, &json!({})).await.expect(201);
    get(&third, jane(), "/api").await.expect(200);
    let again = third.get(&uri).await.expect(200);
    assert_eq!(again["metadata"]["uid"], told["metadata"]["uid"]);
}

#[tokio::test]
async fn only_an_admin_gathers() {
    let cluster = Cluster::start().await;
    let roles = format!("{RBAC}/clusterroles");
    let writer = json!({"metadata": {"name": "writer"}, "rules": [{"verbs": ["create", "update"],
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}]});
    cluster.post(&roles, &writer).await.expect(201);
    let bindings = format!("{RBAC}/clusterrolebindings");
    let given = binding("writer", ("ClusterRole", "writer"), user("joe"));
    cluster.post(&bindings, &given).await.expect(201);
    let all = json!({"metadata": {"name": "all"}, "aggregationRule":
        {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let joe = UserInfo::new("joe", &[]);
    assert_eq!(
        post(&cluster, joe, &roles, &all).await.message(403),
        "clusterroles.rbac.authorization.k8s.io \"all\" is forbidden: must have cluster-admin \
         privileges to use the aggregationRule"
    );
    cluster.post(&roles, &all).await.expect(201);
}

async fn as_other(
    cluster: &Cluster,
    user: UserInfo,
    uri: &str,
    headers: &[(&str, &str)],
) -> Answer {
    collect(
        cluster
            .send(Some(user), Method::GET, uri, headers, String::new())
            .await,
    )
    .await
}

#[tokio::test]
async fn who_may_acts_as_another() {
    let cluster = Cluster::start().await;
    let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let headers = [
        ("impersonate-user", "jane"),
        ("impersonate-group", "dev"),
        ("impersonate-group", "ops"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-acme.com%2Fproject", "x"),
    ];
    let body = json!({}).to_string();
    let told = cluster
        .send(Some(admin()), Method::POST, who, &headers, body)
        .await;
    assert_eq!(
        collect(told).await.expect(201)["status"]["userInfo"],
        json!({"username": "jane", "uid": "7", "groups": ["dev", "ops", "system:authenticated"],
            "extra": {"acme.com/project": ["x"]}})
    );
    let account = [("impersonate-user", "system:serviceaccount:default:robot")];
    let refused = as_other(&cluster, admin(), PODS, &account)
        .await
        .message(403);
    assert!(refused.contains("User \"system:serviceaccount:default:robot\" cannot list"));
    let nobody = [("impersonate-user", "system:anonymous")];
    as_other(&cluster, admin(), "/version", &nobody)
        .await
        .expect(200);
    as_other(&cluster, admin(), "/apis", &nobody)
        .await
        .expect(403);
    let headless = [("impersonate-group", "dev")];
    assert_eq!(
        as_other(&cluster, admin(), PODS, &headless)
            .await
            .message(400),
        "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"dev\"}, \
         Extra:map[string][]string(nil)} without impersonating a user name"
    );
}

#[tokio::test]
async fn who_may_not_acts_as_himself() {
    let cluster = Cluster::start().await;
    bind(&cluster, "bob", ("ClusterRole", "view"), user("bob")).await;
    let bob = [("impersonate-user", "bob")];
    // The first way that is tried looks at what is to be done.
    assert_eq!(
        as_other(&cluster, jane(), PODS, &bob).await.message(403),
        "pods is forbidden: User \"jane\" cannot impersonate-on:user-info:list resource \"pods\" in \
         API group \"\" in the namespace \"default\""
    );
    let roles = format!("{RBAC}/clusterroles");
    let bindings = format!("{RBAC}/clusterrolebindings");
    let mut named = rule(&["impersonate"], &["users"]);
    named["resourceNames"] = json!(["bob"]);
    let role = json!({"metadata": {"name": "as-bob"}, "rules": [named]});
    cluster.post(&roles, &role).await.expect(201);
    let given = binding("as-bob", ("ClusterRole", "as-bob"), user("jane"));
    cluster.post(&bindings, &given).await.expect(201);
    as_other(&cluster, jane(), PODS, &bob).await.expect(200);
    for more in [
        ("impersonate-group", "system:masters"),
        ("impersonate-uid", "1"),
        ("impersonate-extra-a", "1"),
    ] {
        as_other(&cluster, jane(), PODS, &[bob[0], more])
            .await
            .expect(403);
    }
    as_other(&cluster, jane(), PODS, &[("impersonate-user", "eve")])
        .await
        .expect(403);

    // Bound to what is done: only to read pods as anybody.
    let role = json!({"metadata": {"name": "reader"}, "rules": [
        {"verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"],
            "resources": ["users"]},
        rule(&["impersonate-on:user-info:list"], &["pods"]),
    ]});
    cluster.post(&roles, &role).await.expect(201);
    let given = binding("reader", ("ClusterRole", "reader"), user("joe"));
    cluster.post(&bindings, &given).await.expect(201);
    let joe = || UserInfo::new("joe", &[]);
    as_other(&cluster, joe(), PODS, &bob).await.expect(200);
    as_other(&cluster, joe(), "/api/v1/namespaces/default/services", &bob)
        .await
        .expect(403);
}
