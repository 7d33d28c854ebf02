//! Reviews: who somebody is and what he may do, as the server's own chain decides it.

use super::harness::{Answer, Cluster, admin, collect};
use http::Method;
use serde_json::{Value, json};
use wkube::api::UserInfo;

const ACCESS: &str = "/apis/authorization.k8s.io/v1";
const WHO: &str = "/apis/authentication.k8s.io/v1";

async fn ask(cluster: &Cluster, user: UserInfo, uri: &str, body: &Value) -> Answer {
    let sent = cluster.send(Some(user), Method::POST, uri, &[], body.to_string());
    collect(sent.await).await
}

fn nobody() -> UserInfo {
    UserInfo::new("jane", &["dev", "system:authenticated"])
}

#[tokio::test]
async fn one_may_ask_what_one_may_do() {
    let cluster = Cluster::start().await;
    let uri = format!("{ACCESS}/selfsubjectaccessreviews");
    let pods = json!({"spec": {"resourceAttributes":
        {"namespace": "default", "verb": "delete", "resource": "pods"}}});
    for (user, allowed) in [(admin(), true), (nobody(), false)] {
        let told = ask(&cluster, user, &uri, &pods).await.expect(201);
        assert_eq!(told["kind"], "SelfSubjectAccessReview");
        assert_eq!(told["spec"], pods["spec"]);
        assert_eq!(told["status"]["allowed"], json!(allowed));
    }
    let path =
        |path: &str| json!({"spec": {"nonResourceAttributes": {"path": path, "verb": "get"}}});
    for (asked, allowed) in [("/apis", true), ("/metrics", false)] {
        let told = ask(&cluster, nobody(), &uri, &path(asked))
            .await
            .expect(201);
        assert_eq!(told["status"]["allowed"], json!(allowed), "{asked}");
    }

    let uri = format!("{ACCESS}/selfsubjectrulesreviews");
    let body = json!({"spec": {"namespace": "default"}});
    let told = ask(&cluster, admin(), &uri, &body).await.expect(201);
    let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
    assert_eq!(told["status"]["resourceRules"][0], all[0]);
    assert_eq!(told["status"]["incomplete"], json!(false));
    let told = ask(&cluster, nobody(), &uri, &body).await.expect(201);
    let groups: Vec<&Value> = told["status"]["resourceRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["apiGroups"][0])
        .collect();
    assert_eq!(groups, ["authorization.k8s.io", "authentication.k8s.io"]);
    let none = ask(&cluster, nobody(), &uri, &json!({"spec": {}})).await;
    assert_eq!(none.message(400), "no namespace on request");
}

#[tokio::test]
async fn who_may_ask_may_ask_for_others() {
    let cluster = Cluster::start().await;
    let uri = format!("{ACCESS}/subjectaccessreviews");
    let of = |user: &str, groups: &[&str], verb: &str| {
        json!({"spec": {"user": user, "groups": groups, "resourceAttributes":
            {"verb": verb, "resource": "pods", "namespace": "default"}}})
    };
    for (body, allowed) in [
        (of("root", &["system:masters"], "create"), true),
        (of("system:kube-scheduler", &[], "list"), true),
        (of("system:kube-scheduler", &[], "create"), false),
    ] {
        let told = ask(&cluster, admin(), &uri, &body).await.expect(201);
        assert_eq!(told["status"]["allowed"], json!(allowed), "{body}");
    }
    let refused = ask(&cluster, nobody(), &uri, &of("a", &[], "get")).await;
    assert!(refused.message(403).contains("User \"jane\" cannot create"));

    let wrong = json!({"metadata": {"name": "x"}, "spec": {}});
    assert_eq!(
        ask(&cluster, admin(), &uri, &wrong).await.message(422),
        "SubjectAccessReview.authorization.k8s.io \"\" is invalid: [spec.resourceAttributes: \
         Invalid value: \"null\": exactly one of nonResourceAttributes or resourceAttributes must be \
         specified, spec.user: Invalid value: \"\": at least one of user or group must be \
         specified, metadata: Invalid value: {\"name\":\"x\"}: must be empty]"
    );
    let local = format!("{ACCESS}/namespaces/default/localsubjectaccessreviews");
    let mut body = of("root", &["system:masters"], "get");
    let told = ask(&cluster, admin(), &local, &body).await.expect(201);
    assert_eq!(told["status"]["allowed"], json!(true));
    body["spec"]["resourceAttributes"]["namespace"] = json!("other");
    let refused = ask(&cluster, admin(), &local, &body).await.message(422);
    assert!(
        refused.ends_with("must match metadata.namespace"),
        "{refused}"
    );
}

#[tokio::test]
async fn one_is_told_who_one_is_and_whose_a_token_is() {
    let cluster = Cluster::start().await;
    let uri = format!("{WHO}/selfsubjectreviews");
    let told = ask(&cluster, nobody(), &uri, &json!({})).await.expect(201);
    assert_eq!(
        told["status"]["userInfo"],
        json!({"username": "jane", "groups": ["dev", "system:authenticated"]})
    );
    assert!(told["metadata"]["creationTimestamp"].is_string());

    let uri = format!("{WHO}/tokenreviews");
    let body = json!({"spec": {"token": "nobody's"}});
    let told = ask(&cluster, admin(), &uri, &body).await.expect(201);
    assert_eq!(
        told["status"],
        json!({"user": {}, "error": "invalid bearer token"})
    );
    let none = ask(&cluster, admin(), &uri, &json!({"spec": {"token": ""}})).await;
    assert_eq!(
        none.message(400),
        "token is required for TokenReview in authentication"
    );
}

#[tokio::test]
async fn the_control_plane_says_how_it_is() {
    let cluster = Cluster::start().await;
    let uri = "/api/v1/componentstatuses";
    let told = cluster.get(uri).await;
    let warnings = told.warnings();
    assert_eq!(
        warnings,
        ["299 - \"v1 ComponentStatus is deprecated in v1.19+\""]
    );
    let told = told.expect(200);
    assert_eq!(told["kind"], "ComponentStatusList");
    let names: Vec<&Value> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["metadata"]["name"])
        .collect();
    assert_eq!(names, ["controller-manager", "scheduler", "etcd-0"]);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let one = cluster
        .get_as(&format!("{uri}/etcd-0"), table)
        .await
        .expect(200);
    assert_eq!(
        one["rows"][0]["cells"],
        json!(["etcd-0", "Healthy", "ok", ""])
    );
    let some = cluster
        .get(&format!("{uri}?fieldSelector=metadata.name%3Dscheduler"))
        .await;
    assert_eq!(some.expect(200)["items"].as_array().unwrap().len(), 1);
    cluster.get(&format!("{uri}/none")).await.expect(404);
    cluster
        .post(uri, &json!({"metadata": {"name": "x"}}))
        .await
        .expect(405);
}
