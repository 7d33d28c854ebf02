//! What a cluster gives to those who are to be known: the certificate in each namespace, the token in
//! a Secret; and roles that gather others.

use crate::kubectl::kubectls;
use crate::server::Server;
use serde_json::{Value, json};
use wkube::client::{Client, Connection, connect};
use wkube::meta::GroupVersionResource;

/// Asks until the object is as it should be; bounded by the test's own time.
async fn until(
    client: &Client,
    resource: (&str, &str),
    (namespace, name): (&str, &str),
    is: impl Fn(&Value) -> bool,
) -> Value {
    let resource = GroupVersionResource::new(resource.0, "v1", resource.1);
    loop {
        match client.get::<Value>(&resource, namespace, name).await {
            Ok(found) if is(&found) => return found,
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn namespaces_secrets_and_roles_get_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime"]);
    let connection = Connection {
        kubeconfig: Some(server.kubeconfig.clone()),
        ..Connection::default()
    };
    let client = connect(&connection, "test").await.unwrap().0;
    let ca = until(
        &client,
        ("", "configmaps"),
        ("default", "kube-root-ca.crt"),
        |_| true,
    )
    .await;
    let ca = ca["data"]["ca.crt"].as_str().unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"), "{ca}");

    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "default"}}});
    until(
        &client,
        ("", "serviceaccounts"),
        ("default", "default"),
        |_| true,
    )
    .await;
    let made = client
        .create::<Value>(&secrets, "default", None, &secret)
        .await;
    made.unwrap();
    let filled = until(&client, ("", "secrets"), ("default", "s"), |secret| {
        secret["data"]["token"].is_string()
    })
    .await;
    use base64::Engine;
    let decode = |key: &str| {
        let data = filled["data"][key].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        String::from_utf8(bytes.unwrap()).unwrap()
    };
    assert_eq!(decode("ca.crt"), ca);
    let reviews = GroupVersionResource::new("authentication.k8s.io", "v1", "tokenreviews");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": decode("token")}});
    let told = client.create::<Value>(&reviews, "", None, &review).await;
    assert_eq!(
        told.unwrap()["status"]["user"]["username"],
        "system:serviceaccount:default:default"
    );

    let group = "rbac.authorization.k8s.io";
    let roles = GroupVersionResource::new(group, "v1", "clusterroles");
    let rule = json!({"apiGroups": ["acme.com"], "resources": ["things"], "verbs": ["get"]});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "things",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [rule]});
    client
        .create::<Value>(&roles, "", None, &role)
        .await
        .unwrap();
    // By way of `view` and `edit`.
    until(&client, (group, "clusterroles"), ("", "admin"), |admin| {
        admin["rules"].as_array().unwrap().contains(&rule)
    })
    .await;
}

#[test]
fn kubectl_is_told_what_one_may_and_who_one_is() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &["--mock-runtime"]);
        let ok = |args: &[&str]| server.ok(&kubectl, args);
        let says = |args: &[&str]| {
            let said = server.command(&kubectl, args).output().unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        let may = ["auth", "can-i", "list", "pods", "--as", "jane"];
        assert_eq!(says(&may), "no\n", "{kubectl}");
        let bind = [
            "create",
            "clusterrolebinding",
            "jane",
            "--clusterrole=view",
            "--user=jane",
        ];
        ok(&bind);
        assert_eq!(says(&may), "yes\n");
        ok(&["get", "pods", "--as", "jane"]);
        let listed = ok(&["auth", "can-i", "--list", "--as", "jane"]);
        assert!(
            listed.contains("selfsubjectaccessreviews.authorization.k8s.io"),
            "{listed}"
        );
        let role = folder.path().join("role.yaml");
        let text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
                    metadata: {name: things}\n\
                    rules: [{apiGroups: [acme.com], resources: [things], verbs: [get]}]\n";
        std::fs::write(&role, text).unwrap();
        let reconcile = ["auth", "reconcile", "-f", role.to_str().unwrap()];
        for _ in 0..2 {
            let told = ok(&reconcile);
            let first = "clusterrole.rbac.authorization.k8s.io/things";
            assert!(told.starts_with(first), "{told}");
        }
        // Kubectls before 1.24 know no tokens, before 1.27 not who they are.
        if says(&["auth", "--help"]).contains("whoami") {
            let who = ok(&["auth", "whoami", "--as", "jane", "--as-group", "dev"]);
            assert!(who.contains("[dev system:authenticated]"), "{who}");
            server.until(&kubectl, &["get", "serviceaccounts"], |text| {
                text.contains("default")
            });
            let token = ok(&["create", "token", "default", "--duration", "20m"]);
            assert_eq!(token.matches('.').count(), 2, "{token}");
        }
    }
}
