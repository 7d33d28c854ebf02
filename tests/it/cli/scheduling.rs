//! The scheduler from outside: who makes room for whom, and what is said of it.

use crate::server::{Server, WKUBE};
use serde_json::json;

#[test]
fn a_more_important_pod_takes_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--mock-runtime", "--node-cpu", "1"]);
    let ok = |args: &[&str]| server.ok(WKUBE, args);
    let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": "high"}, "value": 1000});
    let pod = |name: &str, class: &str| {
        let container =
            json!({"name": "c", "image": "x", "resources": {"requests": {"cpu": "800m"}}});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"priorityClassName": class, "terminationGracePeriodSeconds": 1,
                     "containers": [container]}})
    };
    let apply = |object: serde_json::Value| {
        let file = folder.path().join("object.json");
        std::fs::write(&file, object.to_string()).unwrap();
        ok(&["apply", "-f", file.to_str().unwrap()]);
    };
    let phase = |name: &'static str| ["get", "pod", name, "-o", "jsonpath={.status.phase}"];
    apply(class);
    apply(pod("low", ""));
    server.until(WKUBE, &phase("low"), |text| text == "Running");
    apply(pod("important", "high"));
    server.until(WKUBE, &phase("important"), |text| text == "Running");
    let left = server.run(WKUBE, &["get", "pod", "low"]);
    assert_eq!(left.status.code(), Some(1));
    let said = server.until(WKUBE, &["get", "events"], |text| {
        text.contains("Preempted by pod")
    });
    assert!(
        said.contains("0/1 nodes are available: 1 Insufficient cpu."),
        "{said}"
    );
    apply(pod("waits", ""));
    let why = [
        "get",
        "pod",
        "waits",
        "-o",
        "jsonpath={.status.conditions[?(@.type==\"PodScheduled\")].message}",
    ];
    let said = server.until(WKUBE, &why, |text| !text.is_empty());
    let words = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
                 preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    assert_eq!(said, words);
    ok(&["delete", "pod", "important"]);
    server.until(WKUBE, &phase("waits"), |text| text == "Running");
}
