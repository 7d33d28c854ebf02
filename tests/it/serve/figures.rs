//! `/metrics`: the figures of every room, and those of one node through the server.

use crate::server::{Server, WKUBE};
use http::Method;
use wkube::client::{Connection, connect};

#[tokio::test]
async fn every_room_tells_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime", "--nodes", "2"]);
    let pod = folder.path().join("pod.yaml");
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, \
                spec: {nodeName: wkube-1, containers: [{name: c, image: 'app:1'}]}}\n---\n\
                {apiVersion: v1, kind: Pod, metadata: {name: q}, \
                spec: {nodeSelector: {kubernetes.io/hostname: wkube-1}, \
                containers: [{name: c, image: 'app:1'}]}}\n";
    std::fs::write(&pod, text).unwrap();
    server.ok(WKUBE, &["apply", "-f", pod.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pods"], |text| {
        text.matches("Running").count() == 2
    });
    let connection = Connection {
        kubeconfig: Some(server.kubeconfig.clone()),
        ..Connection::default()
    };
    let (client, _, _) = connect(&connection, "test").await.unwrap();
    let read = async |path: &str| {
        let bytes = client.call(Method::GET, path, None).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let all = read("/metrics").await;
    for wanted in [
        "apiserver_request_total{verb=\"POST\"",
        "apiserver_request_duration_seconds_bucket{",
        "apiserver_storage_objects{resource=\"pods\"} 2.0",
        "apiserver_storage_objects{resource=\"deployments.apps\"} 0.0",
        "apiserver_resource_objects{group=\"apps\",resource=\"deployments\"} 0.0",
        "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0.0",
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1.0",
        "apiserver_longrunning_requests{verb=\"WATCH\",group=\"\",version=\"v1\",resource=\"pods\",\
         subresource=\"\",scope=\"cluster\",component=\"apiserver\"}",
        "wkube_api_watchers{group=\"\",resource=\"pods\"}",
        "apiserver_storage_size_bytes ",
        "wkube_store_revision ",
        "wkube_store_commits_total ",
        "wkube_store_fsyncs_total ",
        "wkube_store_written_bytes_total ",
        "wkube_store_watchers ",
        "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 1",
        "scheduler_pending_pods{queue=\"unschedulable\"} 0",
        "scheduler_scheduling_attempt_duration_seconds",
        "workqueue_adds_total{name=\"namespace-controller\"}",
        "workqueue_depth{name=\"serviceaccount-controller\"} 0",
        "rest_client_requests_total{code=\"201\",host=\"in-process\",method=\"POST\"}",
        "kubelet_running_pods{node=\"wkube-0\"} 0",
        "kubelet_running_pods{node=\"wkube-1\"} 2",
        "kubelet_running_containers{container_state=\"running\",node=\"wkube-1\"} 2",
        "kubelet_started_pods_total{node=\"wkube-1\"} 2",
        "kubelet_pod_start_duration_seconds_count{node=\"wkube-1\"} 2",
        "wkube_net_pods 2",
        "wkube_net_bytes_total{direction=\"sent\"}",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        let there = all.lines().any(|line| line.starts_with(wanted));
        assert!(there, "{wanted}\n{all}");
    }
    let names: Vec<&str> = all
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE "))
        .collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "a name is there twice: {names:?}");
    let one = read("/api/v1/nodes/wkube-1/proxy/metrics").await;
    assert!(one.contains("\nkubelet_running_pods 2"), "{one}");
    assert!(
        one.contains("\nkubelet_started_containers_total 2"),
        "{one}"
    );
    assert!(!one.contains("wkube-0"), "{one}");
    let summary = read("/api/v1/nodes/wkube-1/proxy/stats/summary").await;
    assert!(summary.contains("\"nodeName\":\"wkube-1\""), "{summary}");
}
