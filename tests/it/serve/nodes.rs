//! `--nodes`, `--node-cpu`, `--node-memory`, `--node-pods`.

use crate::server::{Server, WKUBE};
use serde_json::Value;
use std::collections::BTreeMap;

fn get(server: &Server, args: &[&str]) -> Value {
    let words: Vec<&str> = ["get"]
        .iter()
        .chain(args)
        .chain(&["-o", "json"])
        .copied()
        .collect();
    serde_json::from_str(&server.ok(WKUBE, &words)).unwrap()
}

#[test]
fn pods_spread_over_nodes_of_the_size_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let shape = [
        "--mock-runtime",
        "--nodes",
        "3",
        "--node-cpu",
        "1500m",
        "--node-memory",
        "2Gi",
        "--node-pods",
        "2",
    ];
    let server = Server::start(folder.path(), &shape);
    let nodes = get(&server, &["nodes"]);
    let nodes = nodes["items"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        for of in ["capacity", "allocatable"] {
            let amounts = &node["status"][of];
            assert_eq!(amounts["cpu"], "1500m");
            assert_eq!(amounts["memory"], "2Gi");
            assert_eq!(amounts["pods"], "2");
        }
    }
    let pod = |number: usize| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}}}, \
             spec: {{containers: [{{name: c, image: 'app:1'}}]}}}}\n"
        )
    };
    let file = folder.path().join("pods.yaml");
    let pods: Vec<String> = (0..7).map(pod).collect();
    std::fs::write(&file, pods.join("---\n")).unwrap();
    server.ok(WKUBE, &["apply", "-f", file.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pods"], |text| {
        text.matches("Running").count() == 6
    });
    let pods = get(&server, &["pods"]);
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods["items"].as_array().unwrap() {
        *on.entry(pod["spec"]["nodeName"].as_str().unwrap_or("none"))
            .or_default() += 1;
    }
    let spread = [("none", 1), ("wkube-0", 2), ("wkube-1", 2), ("wkube-2", 2)];
    assert_eq!(on, BTreeMap::from(spread));
    let waits = server.until(WKUBE, &["get", "events"], |text| text.contains("FailedSch"));
    assert!(
        waits.contains("0/3 nodes are available: 3 Too many pods."),
        "{waits}"
    );
}

#[test]
fn a_node_that_is_not_started_again_is_said_to_be_away_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pod.yaml");
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, \
                spec: {nodeName: wkube-1, containers: [{name: c, image: 'app:1'}]}}";
    std::fs::write(&pod, text).unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime", "--nodes", "2"]);
    server.ok(WKUBE, &["apply", "-f", pod.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pods"], |text| text.contains("Running"));
    assert!(server.terminate());

    // With one node less: its pod stays as it is, and no other pod is sent there.
    let server = Server::start(folder.path(), &["--mock-runtime", "--nodes", "1"]);
    let node = get(&server, &["node", "wkube-1"]);
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "Unknown");
    assert_eq!(ready["reason"], "NodeStatusUnknown");
    let taints = node["spec"]["taints"].as_array().unwrap();
    assert_eq!(taints.len(), 2, "{taints:?}");
    assert_eq!(taints[0]["key"], "node.kubernetes.io/unreachable");
    let list = server.ok(WKUBE, &["get", "nodes"]);
    assert!(list.contains("wkube-1   NotReady"), "{list}");
    assert!(server.ok(WKUBE, &["get", "pods"]).contains("Running"));
    assert!(server.terminate());

    // All nodes again: the pod goes on where it was, and the taints are gone.
    let server = Server::start(folder.path(), &["--mock-runtime", "--nodes", "2"]);
    server.until(WKUBE, &["get", "nodes"], |text| {
        text.contains("wkube-1   Ready ")
    });
    server.until(WKUBE, &["get", "node", "wkube-1", "-o", "yaml"], |text| {
        !text.contains("unreachable")
    });
    assert!(server.terminate());

    // The node is deleted while it is away: its pod goes with it.
    let server = Server::start(folder.path(), &["--mock-runtime", "--nodes", "1"]);
    server.ok(WKUBE, &["delete", "node", "wkube-1"]);
    server.until(WKUBE, &["get", "pods", "-o", "name"], str::is_empty);
}
