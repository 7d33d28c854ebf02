//! `wkube node`: virtual nodes come and go, their pods with them, and outlast a restart.

use crate::server::{Server, WKUBE};

fn manifest(name: &str) -> String {
    format!("{}/tests/manifests/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn nodes_come_and_go_and_outlast_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let ok = |server: &Server, args: &[&str]| server.ok(WKUBE, args);
    let on = "jsonpath={range .items[*]}{.spec.nodeName} {end}";
    let placed = ["get", "pods", "-l", "app=echo", "-o", on];
    let on_both = |text: &str| {
        let mut nodes: Vec<&str> = text.split_whitespace().collect();
        nodes.sort_unstable();
        nodes == ["edge", "wkube-0"]
    };
    ok(&server, &["apply", "-f", &manifest("simple-daemonset")]);
    server.until(WKUBE, &placed, |text| text == "wkube-0 ");
    let add = [
        "node",
        "add",
        "edge",
        "--cpus=2",
        "--memory=1Gi",
        "--labels=zone=far",
    ];
    assert_eq!(ok(&server, &add), "node/edge created\n");
    server.until(WKUBE, &placed, on_both);
    let shape =
        "jsonpath={.status.capacity.cpu} {.status.allocatable.memory} {.metadata.labels.zone}";
    let shown = ok(&server, &["get", "node", "edge", "-o", shape]);
    assert_eq!(shown, "2 1Gi far");
    let ready = ["get", "ds", "echo", "-o", "jsonpath={.status.numberReady}"];
    server.until(WKUBE, &ready, |text| text == "2");
    assert!(server.terminate());

    let server = Server::start(folder.path(), &[]);
    server.until(WKUBE, &ready, |text| text == "2");
    let drained = server.run(WKUBE, &["node", "drain", "edge"]);
    let said = String::from_utf8_lossy(&drained.stderr);
    assert_eq!(drained.status.code(), Some(1));
    let why =
        "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): default/echo-";
    assert!(said.contains(why), "{said}");
    assert!(
        said.contains("There are pending nodes to be drained:\n edge\n"),
        "{said}"
    );
    let bare = json_pod();
    std::fs::write(folder.path().join("pod.json"), bare).unwrap();
    let file = folder.path().join("pod.json");
    ok(&server, &["apply", "-f", file.to_str().unwrap()]);
    let runs = ["get", "pod", "bare", "-o", "jsonpath={.status.phase}"];
    server.until(WKUBE, &runs, |text| text == "Running");
    // In kubectl's words.
    if let Some(kubectl) = super::compare::kubectl() {
        let both = [WKUBE, &kubectl].map(|program| {
            let said = server.run(program, &["drain", "edge", "--ignore-daemonsets"]);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&said.stdout), text(&said.stderr), said.status.code())
        });
        assert_eq!(both[0], both[1], "{kubectl}");
    }
    let removed = ok(&server, &["node", "remove", "edge", "--force"]);
    assert_eq!(
        removed,
        "node/edge already cordoned\nevicting pod default/bare\npod/bare evicted\n\
         node/edge drained\nnode \"edge\" deleted\n"
    );
    server.until(WKUBE, &placed, |text| text == "wkube-0 ");
    assert!(!folder.path().join("nodes/edge").join("records").is_file());
    let own = server.run(WKUBE, &["node", "remove", "wkube-0"]);
    let said = String::from_utf8_lossy(&own.stderr);
    assert!(said.contains("was not added"), "{said}");
}

/// A pod that goes to the added node though it is cordoned.
fn json_pod() -> String {
    let container = serde_json::json!({"name": "c", "image": "gihyodocker/echo:latest"});
    let toleration = serde_json::json!({"operator": "Exists"});
    let spec = serde_json::json!({"nodeSelector": {"zone": "far"}, "tolerations": [toleration],
        "terminationGracePeriodSeconds": 1, "containers": [container]});
    serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": spec})
        .to_string()
}
