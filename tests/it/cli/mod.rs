//! wkube's own command line: the binary, its output and exit codes.

mod applies;
mod compare;
mod node;
mod outputs;
mod right_manifests;
mod scheduling;
mod verbs;
mod wrong_manifests;

use crate::server::{SIMPLE_POD, Server, WKUBE};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_seed_s_commands_on_a_pod() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let ok = |args: &[&str]| server.ok(WKUBE, args);
    assert!(ok(&["get", "nodes"]).contains("wkube-0   Ready"));
    assert_eq!(
        ok(&["apply", "-f", SIMPLE_POD]),
        "pod/simple-echo created\n"
    );
    server.until(WKUBE, &["get", "pods"], |text| text.contains("2/2"));
    assert_eq!(
        ok(&["get", "pod", "simple-echo", "-o", "name"]),
        "pod/simple-echo\n"
    );
    let phase = ok(&[
        "get",
        "pod",
        "simple-echo",
        "-o",
        "jsonpath={.status.phase}",
    ]);
    assert_eq!(phase, "Running");
    assert!(ok(&["describe", "pod", "simple-echo"]).contains("Successfully assigned"));
    assert!(ok(&["logs", "simple-echo", "-c", "echo"]).contains("start server"));
    assert_eq!(
        ok(&["apply", "-f", SIMPLE_POD]),
        "pod/simple-echo unchanged\n"
    );
    let deleted = ok(&["delete", "-f", SIMPLE_POD]);
    assert_eq!(
        deleted,
        "pod \"simple-echo\" deleted from default namespace\n"
    );
    let gone = server.run(WKUBE, &["get", "pod", "simple-echo"]);
    assert_eq!(gone.status.code(), Some(1));
    let words = "Error from server (NotFound): pods \"simple-echo\" not found\n";
    assert_eq!(String::from_utf8_lossy(&gone.stderr), words);
    assert!(
        server.terminate(),
        "a server that is told to stop ends well"
    );
}

#[test]
fn a_command_runs_in_a_cluster_that_leaves_nothing() {
    let serve = |command: &[&str]| {
        let words = [
            "serve",
            "--ephemeral",
            "--listen",
            "127.0.0.1:0",
            "-f",
            SIMPLE_POD,
            "--",
        ];
        let output = Command::new(WKUBE)
            .args(words)
            .args(command)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, stdout, stderr) = serve(&["sh", "-c", "echo $KUBECONFIG; exit 7"]);
    assert_eq!(code, Some(7), "{stderr}");
    assert!(!std::path::Path::new(stdout.trim()).exists(), "{stdout}");
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let second = Command::new(WKUBE)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(125));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another wkube serve (pid "), "{said}");
    drop(server);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = Command::new(WKUBE)
        .args(["serve", "--ephemeral", "--listen", &address])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(125));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn watches_and_logs_follow() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let follow = |args: &[&str]| {
        let mut command = server.command(WKUBE, args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines.map(Result::unwrap))
    };
    let own = "--field-selector=metadata.name!=kube-root-ca.crt";
    let (mut watch, mut lines) = follow(&["get", "configmaps", "-w", own]);
    server.ok(WKUBE, &["create", "configmap", "first"]);
    assert!(lines.next().unwrap().starts_with("NAME"));
    assert!(lines.any(|line| line.starts_with("first   0 ")));
    server.ok(
        WKUBE,
        &["create", "configmap", "second", "--from-literal=a=b"],
    );
    assert!(
        lines.next().unwrap().starts_with("second   1 "),
        "headers once"
    );
    watch.kill().unwrap();
    watch.wait().unwrap();
    server.ok(WKUBE, &["apply", "-f", SIMPLE_POD]);
    server.until(WKUBE, &["get", "pods"], |text| text.contains("2/2"));
    let (mut logs, mut lines) = follow(&["logs", "-f", "simple-echo", "-c", "echo"]);
    assert!(lines.next().unwrap().starts_with("start server"));
    // The log ends with its container, and the command with the log.
    server.ok(WKUBE, &["delete", "pod", "simple-echo", "--now"]);
    assert_eq!(lines.count(), 0);
    assert!(logs.wait().unwrap().success());
}
