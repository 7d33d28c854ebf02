//! kube-rs, the client of the ecosystem, against the real binary: what its users do with typed objects.

use crate::server::{Server, WKUBE};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ServiceAccount};
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Discovery, verbs};
use kube::{Client, Config, ResourceExt};
use serde_json::json;

async fn client(server: &Server) -> Client {
    let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn config_map(name: &str, data: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": data}})).unwrap()
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    match result.unwrap_err() {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn objects_are_written_read_patched_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime"]);
    let client = client(&server).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let post = PostParams::default();

    let made = maps.create(&post, &config_map("a", "1")).await.unwrap();
    assert!(made.uid().is_some() && made.resource_version().is_some());
    assert_eq!(code(maps.create(&post, &config_map("a", "1")).await), 409);
    assert_eq!(code(maps.get("none").await), 404);
    assert_eq!(maps.get_opt("none").await.unwrap(), None);

    let params = WatchParams::default().fields("metadata.name=a");
    let from = made.resource_version().unwrap();
    let mut watch = maps.watch(&params, &from).await.unwrap().boxed();
    let mut changed = made.clone();
    changed
        .data
        .as_mut()
        .unwrap()
        .insert("k".into(), "2".into());
    let replaced = maps.replace("a", &post, &changed).await.unwrap();
    assert_eq!(code(maps.replace("a", &post, &changed).await), 409);
    match watch.try_next().await.unwrap().unwrap() {
        WatchEvent::Modified(seen) => assert_eq!(seen, replaced),
        other => panic!("{other:?}"),
    }

    let merge = Patch::Merge(json!({"data": {"m": "3"}}));
    let plain = PatchParams::default();
    assert_eq!(
        maps.patch("a", &plain, &merge).await.unwrap().data.unwrap()["m"],
        "3"
    );
    let strategic = Patch::Strategic(json!({"data": {"k": null}}));
    let patched = maps.patch("a", &plain, &strategic).await.unwrap();
    assert!(!patched.data.unwrap().contains_key("k"));
    let apply = |owner: &str, value: &str| {
        let patch =
            Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"s": value}}));
        (PatchParams::apply(owner), patch)
    };
    let (params, patch) = apply("one", "1");
    maps.patch("b", &params, &patch).await.unwrap();
    let (params, patch) = apply("two", "2");
    assert_eq!(code(maps.patch("b", &params, &patch).await), 409);
    maps.patch("b", &params.force(), &patch).await.unwrap();

    let list = maps.list(&ListParams::default().limit(1)).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let token = list.metadata.continue_.unwrap();
    let rest = ListParams::default().continue_token(&token);
    assert!(
        maps.list(&rest)
            .await
            .unwrap()
            .items
            .iter()
            .any(|map| map.name_any() == "b")
    );
    let metadata = maps.get_metadata("b").await.unwrap();
    assert_eq!(metadata.name_any(), "b");

    let options = DeleteParams::default();
    assert!(maps.delete("a", &options).await.unwrap().is_right());
    match watch.try_next().await.unwrap().unwrap() {
        WatchEvent::Modified(_) => {}
        other => panic!("{other:?}"),
    }
    maps.delete_collection(&options, &ListParams::default())
        .await
        .unwrap();
    assert_eq!(maps.get_opt("b").await.unwrap(), None);
}

#[tokio::test]
async fn parts_tokens_and_discovery() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime"]);
    let client = client(&server).await;
    let post = PostParams::default();
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let deployment = serde_json::from_value(json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
    }}));
    deployments
        .create(&post, &deployment.unwrap())
        .await
        .unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments
        .patch_scale("d", &PatchParams::default(), &scale)
        .await
        .unwrap();
    assert_eq!(
        deployments
            .get_scale("d")
            .await
            .unwrap()
            .spec
            .unwrap()
            .replicas,
        Some(3)
    );
    let status = Patch::Merge(json!({"status": {"observedGeneration": 2, "replicas": 3}}));
    let told = deployments
        .patch_status("d", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(told.status.unwrap().replicas, Some(3));

    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap();
    accounts.create(&post, &account).await.unwrap();
    let request = TokenRequest {
        spec: Some(TokenRequestSpec::default()),
        ..TokenRequest::default()
    };
    let token = accounts
        .create_token_request("robot", &post, &request)
        .await
        .unwrap();
    let token = token.status.and_then(|status| status.token).unwrap();
    assert_eq!(token.split('.').count(), 3);

    let nodes: Api<Node> = Api::all(client.clone());
    let name = nodes.list(&ListParams::default()).await.unwrap().items[0].name_any();
    assert_eq!(
        nodes
            .cordon(&name)
            .await
            .unwrap()
            .spec
            .unwrap()
            .unschedulable,
        Some(true)
    );
    nodes.uncordon(&name).await.unwrap();

    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let networking = discovery.get("networking.k8s.io").unwrap();
    let (resource, capabilities) = networking.recommended_kind("Ingress").unwrap();
    assert_eq!(resource.api_version, "networking.k8s.io/v1");
    assert!(capabilities.supports_operation(verbs::WATCH));

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    namespaces.create(&post, &namespace).await.unwrap();
    let params = WatchParams::default().fields("metadata.name=n");
    let mut watch = namespaces.watch(&params, "0").await.unwrap().boxed();
    namespaces
        .delete("n", &DeleteParams::default())
        .await
        .unwrap();
    while let Some(event) = watch.try_next().await.unwrap() {
        if matches!(event, WatchEvent::Deleted(_)) {
            return;
        }
    }
    panic!("the namespace is still there");
}

#[tokio::test]
async fn a_pod_runs_logs_and_is_evicted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let client = client(&server).await;
    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod = serde_json::from_value(json!({"metadata": {"name": "echo"}, "spec": {
        "containers": [{"name": "echo", "image": "gihyodocker/echo:latest"}],
    }}));
    let made = pods
        .create(&PostParams::default(), &pod.unwrap())
        .await
        .unwrap();
    let params = WatchParams::default().fields("metadata.name=echo");
    let from = made.resource_version().unwrap();
    let mut watch = pods.watch(&params, &from).await.unwrap().boxed();
    loop {
        let event = watch.try_next().await.unwrap().unwrap();
        let WatchEvent::Modified(pod) = event else {
            continue;
        };
        let conditions = pod
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        if conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
        {
            break;
        }
    }
    let logs = pods.logs("echo", &LogParams::default()).await.unwrap();
    assert!(logs.starts_with("start server"), "{logs}");
    let mut forward = pods.portforward("echo", &[8080]).await.unwrap();
    let mut stream = forward.take_stream(8080).unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("Hello Docker!!"));
    pods.evict("echo", &Default::default()).await.unwrap();
}

#[tokio::test]
async fn commands_are_run_and_end_as_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime"]);
    let pods: Api<Pod> = Api::default_namespaced(client(&server).await);
    let pod = json!({ "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "x:1" }] } });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    server.until(WKUBE, &["get", "pod", "p"], |text| text.contains("Running"));
    for (command, out, reason) in [
        (["echo", "hi"], "hi\n", None),
        (["exit", "3"], "", Some("NonZeroExitCode")),
        (["nothing", ""], "", Some("InternalError")),
    ] {
        let params = AttachParams::default();
        let mut run = pods.exec("p", command, &params).await.unwrap();
        let mut text = String::new();
        let mut stdout = run.stdout().unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text)
            .await
            .unwrap();
        let status = run.take_status().unwrap().await.unwrap();
        assert_eq!(text, out);
        assert_eq!(status.reason.as_deref(), reason, "{status:?}");
    }
    let none = pods.exec("q", ["a"], &AttachParams::default()).await;
    assert!(none.is_err());
}
