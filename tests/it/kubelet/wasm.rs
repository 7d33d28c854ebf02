//! The node agent with the runtime of the product: bundled images, wasm sandboxes, the network.

use super::cluster::{Cluster, is_ready, phase_is};
use super::status;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wkube::kubelet::WasmPodRuntime;
use wkube::oci::{BUNDLED, ImageStore};
use wkube::wasm_runtime::{RuntimeConfig, WasmRuntime};

async fn cluster() -> Cluster {
    let runtime = WasmRuntime::new(RuntimeConfig::default()).unwrap();
    let images = ImageStore::open(None, BUNDLED).unwrap();
    Cluster::real(Arc::new(WasmPodRuntime::new(runtime, images))).await
}

/// The body of `GET /` at an address of the pod network, once somebody listens there.
async fn get(cluster: &Cluster, at: SocketAddr) -> String {
    for _ in 0..1_000 {
        if let Ok(mut conn) = cluster.fabric.dial(at).await {
            let request = "GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n";
            conn.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            conn.read_to_string(&mut answer).await.unwrap();
            if answer.starts_with("HTTP/1.1 200") {
                return answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            }
        }
        cluster.clock.sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody answers at {at}");
}

#[tokio::test]
async fn the_first_pod_of_the_book_answers_through_nginx() {
    let cluster = cluster().await;
    let node = cluster.node(None).await;
    let spec = json!({"containers": [
        {"name": "nginx", "image": "gihyodocker/nginx:latest",
         "env": [{"name": "BACKEND_HOST", "value": "localhost:8080"}],
         "ports": [{"containerPort": 80}]},
        {"name": "echo", "image": "gihyodocker/echo:latest",
         "ports": [{"containerPort": 8080}]}]});
    cluster.pod("simple-echo", &[], spec).await;
    let pod = cluster.until("simple-echo", is_ready).await;
    for container in pod["status"]["containerStatuses"].as_array().unwrap() {
        let id = container["imageID"].as_str().unwrap();
        assert!(id.contains("@sha256:"), "{id}");
    }
    let ip: std::net::IpAddr = pod["status"]["podIP"].as_str().unwrap().parse().unwrap();
    let direct = get(&cluster, SocketAddr::new(ip, 8080)).await;
    let through = get(&cluster, SocketAddr::new(ip, 80)).await;
    assert!(direct.contains("Hello"), "{direct}");
    assert_eq!(direct, through);
    cluster.delete("simple-echo", Value::Null).await;
    cluster.until_gone("simple-echo").await;
    assert!(
        cluster
            .fabric
            .dial(SocketAddr::new(ip, 8080))
            .await
            .is_err()
    );
    node.stop().await;
}

#[tokio::test]
async fn an_image_that_no_registry_can_give_says_why() {
    let cluster = cluster().await;
    let node = cluster.node(None).await;
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "c", "image": "127.0.0.1:1/nothing:1"}]});
    cluster.pod("p", &[], spec).await;
    let waits = |pod: &Value| status(pod)["state"]["waiting"]["reason"] == "ErrImagePull";
    let pod = cluster.until("p", waits).await;
    let message = status(&pod)["state"]["waiting"]["message"]
        .as_str()
        .unwrap();
    assert!(message.contains("127.0.0.1:1/nothing:1"), "{message}");
    assert!(phase_is("Pending")(&pod));
    node.stop().await;
}

#[tokio::test]
async fn probes_ask_real_guests_and_a_backend_that_goes_makes_its_front_unready() {
    let cluster = cluster().await;
    let node = cluster.node(None).await;
    let back = json!({"containers": [{"name": "echo", "image": "gihyodocker/echo:latest",
        "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]});
    cluster.pod("back", &[], back).await;
    let pod = cluster.until("back", is_ready).await;
    let ip = pod["status"]["podIP"].as_str().unwrap().to_owned();
    let front = json!({"containers": [{"name": "nginx", "image": "gihyodocker/nginx:latest",
        "env": [{"name": "BACKEND_HOST", "value": format!("{ip}:8080")}],
        "readinessProbe": {"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 1,
            "failureThreshold": 1}}]});
    cluster.pod("front", &[], front).await;
    cluster.until("front", is_ready).await;
    cluster.delete("back", Value::Null).await;
    cluster.until_gone("back").await;
    let pod = cluster.until("front", |pod| !is_ready(pod)).await;
    assert_eq!(status(&pod)["restartCount"], 0);
    let events = cluster.events("front").await;
    let wanted =
        "Warning Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 502";
    assert!(events.contains(&wanted.to_owned()), "{events:#?}");
    let events = cluster.events("back").await;
    let unhealthy = events.iter().any(|event| event.contains("Unhealthy"));
    assert!(!unhealthy, "{events:#?}");
    node.stop().await;
}
