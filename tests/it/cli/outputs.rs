//! What is printed is what kubectl prints: the same lines on both streams, the same exit codes.

use super::compare::{kubectl, same};
use crate::server::{Server, WKUBE};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifests")
}

/// A server with an object of each kind, and pods of several states.
fn populated(data: &Path) -> Server {
    let server = Server::start(data, &["--mock-runtime"]);
    let objects = folder().join("objects.yaml");
    server.ok(WKUBE, &["apply", "-f", objects.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pod", "running"], |text| {
        text.contains("1/1")
    });
    // Its last event: from now on nothing changes by itself.
    server.until(WKUBE, &["get", "events"], |text| {
        text.contains("Started") && text.contains("FailedScheduling")
    });
    server
}

#[test]
fn get_prints_what_kubectl_prints() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = populated(data.path());
    let lines = std::fs::read_to_string(folder().join("get.txt")).unwrap();
    let lines: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    same(&server, &kubectl, &folder(), &lines);
}

#[test]
fn describe_prints_what_kubectl_prints() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = populated(data.path());
    let lines = [
        "describe node wkube-0",
        "describe namespace default",
        "describe namespaces",
        "describe service several",
        "describe services --show-events=true",
        "describe secret logins",
        "describe configmap settings",
        "describe configmap annotated",
        "describe serviceaccount robot",
        "describe serviceaccounts --show-events=true",
        "describe lease lock",
        "describe leases --show-events=true",
        "describe events --show-events=true",
        "describe pod running",
        "describe pod pending",
        "describe pod waiting",
        "describe pods --show-events=true",
        "describe pods -l app=a --show-events=true",
        "describe pod run --show-events=true",
        "describe pod/running configmap/settings --show-events=true",
        "describe pod nope",
        "describe nope",
        "describe pods -n kube-public",
        "describe pod running --show-events=false",
    ];
    same(&server, &kubectl, &folder(), &lines);
}

#[test]
fn other_verbs_print_what_kubectl_prints() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = populated(data.path());
    let lines = std::fs::read_to_string(folder().join("verbs.txt")).unwrap();
    let lines: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    same(&server, &kubectl, &folder(), &lines);
}

#[test]
fn deleting_waits_and_tells() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    let objects = folder().join("objects.yaml");
    let objects = objects.to_str().unwrap();
    let lines = [
        "delete configmap settings annotated",
        "delete configmap settings",
        "delete pods -l app=a --now",
        "delete -f objects.yaml --ignore-not-found",
        "delete -f objects.yaml",
        "delete secrets --all",
        "get all,secrets,leases -o name",
    ];
    let mut said = Vec::new();
    for program in [kubectl.as_str(), WKUBE] {
        server.ok(WKUBE, &["apply", "-f", objects]);
        server.until(WKUBE, &["get", "pod", "running"], |text| {
            text.contains("1/1")
        });
        let text = |line: &str| {
            let args: Vec<&str> = line.split_whitespace().collect();
            let said = super::compare::said(&server, &folder(), program, &args);
            (
                said.code,
                said.stdout.replace(" from default namespace", ""),
                said.stderr,
            )
        };
        said.push(lines.map(text));
    }
    assert_eq!(said[1], said[0]);
}
