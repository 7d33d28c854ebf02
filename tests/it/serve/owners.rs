//! Owners and what they own, through the server: background, foreground and orphaning deletions.

use crate::server::{Server, WKUBE};
use serde_json::{Value, json};
use wkube::client::{Client, ClientError, Connection, connect};
use wkube::meta::GroupVersionResource;

async fn client_of(server: &Server) -> Client {
    let connection = Connection {
        kubeconfig: Some(server.kubeconfig.clone()),
        ..Connection::default()
    };
    connect(&connection, "test").await.unwrap().0
}

fn maps() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "configmaps")
}

/// Makes a ConfigMap that is owned by others, by name and uid.
async fn make(client: &Client, name: &str, owners: &[(&str, &str)]) -> String {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(name, uid)| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid,
                "blockOwnerDeletion": true})
        })
        .collect();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": owners}});
    let made = client
        .create::<Value>(&maps(), "default", None, &object)
        .await;
    let made = made.unwrap();
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn find(client: &Client, name: &str) -> Option<Value> {
    match client.get::<Value>(&maps(), "default", name).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{error}"),
    }
}

/// Asks until it is gone; bounded by the test's own time.
async fn gone(client: &Client, name: &str) {
    while find(client, name).await.is_some() {}
}

async fn delete(client: &Client, name: &str, policy: &str) -> Result<Value, ClientError> {
    let options = json!({"propagationPolicy": policy});
    client.delete(&maps(), "default", name, &options).await
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_are_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime"]);
    let client = client_of(&server).await;

    // In the background: the owner at once, what it owned after it, and what that owned.
    let a = make(&client, "a", &[]).await;
    let b = make(&client, "b", &[("a", &a)]).await;
    make(&client, "c", &[("b", &b)]).await;
    delete(&client, "a", "Background").await.unwrap();
    gone(&client, "c").await;
    assert!(find(&client, "a").await.is_none() && find(&client, "b").await.is_none());

    // In the foreground: dependents first, then the owner.
    let a = make(&client, "a", &[]).await;
    let b = make(&client, "b", &[("a", &a)]).await;
    make(&client, "c", &[("b", &b)]).await;
    delete(&client, "a", "Foreground").await.unwrap();
    gone(&client, "a").await;
    assert!(find(&client, "b").await.is_none() && find(&client, "c").await.is_none());

    // Of two owners one is left: it stays, and forgets the other.
    let a = make(&client, "a", &[]).await;
    let b = make(&client, "b", &[]).await;
    make(&client, "c", &[("a", &a), ("b", &b)]).await;
    delete(&client, "a", "Foreground").await.unwrap();
    gone(&client, "a").await;
    let c = loop {
        let c = find(&client, "c").await.unwrap();
        if c["metadata"]["ownerReferences"].as_array().unwrap().len() == 1 {
            break c;
        }
    };
    assert_eq!(c["metadata"]["ownerReferences"][0]["name"], "b");

    // Orphaned: the owner goes, what it owned has no owner any more.
    delete(&client, "b", "Orphan").await.unwrap();
    gone(&client, "b").await;
    let c = find(&client, "c").await.unwrap();
    assert_eq!(c["metadata"].get("ownerReferences"), None, "{c}");

    // An owner that never was.
    make(&client, "d", &[("nobody", "no-such-uid")]).await;
    gone(&client, "d").await;

    // A pod deleted in the foreground goes like any other.
    let pod = folder.path().join("pod.yaml");
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, \
                spec: {containers: [{name: c, image: 'app:1'}]}}";
    std::fs::write(&pod, text).unwrap();
    server.ok(WKUBE, &["apply", "-f", pod.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pods"], |text| text.contains("Running"));
    let pods = GroupVersionResource::new("", "v1", "pods");
    let options = json!({"propagationPolicy": "Foreground", "gracePeriodSeconds": 1});
    client
        .delete(&pods, "default", "p", &options)
        .await
        .unwrap();
    while client.get::<Value>(&pods, "default", "p").await.is_ok() {}
}
