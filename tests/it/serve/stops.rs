//! However the server stops, it says why; and nothing else stops it.

use super::{json, run, start};
use rustix::process::Signal;

#[test]
fn each_signal_is_named_and_the_stop_is_in_order() {
    for (signal, name) in [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
    ] {
        let mut server = start(&["--mock-runtime"]);
        server.until("wkube: ready in ");
        server.signal(signal);
        let (lines, code) = server.end();
        assert_eq!(lines[0], format!("wkube: {name} received, stopping"));
        assert!(lines[1].starts_with("wkube: stopped in "), "{lines:?}");
        assert_eq!((lines.len(), code), (2, Some(0)), "{lines:?}");
    }
}

#[test]
fn a_server_nobody_listens_to_any_more_goes_on() {
    let mut server = start(&["--mock-runtime", "--log", "debug"]);
    let ready = server.until("wkube: ready in ");
    let kubeconfig = ready.split("kubeconfig: ").nth(1).unwrap();
    let kubeconfig = kubeconfig.trim_end_matches(')').to_owned();
    // From now on whatever it says is said into a broken pipe.
    server.stderr = None;
    for _ in 0..5 {
        let pods = std::process::Command::new(crate::server::WKUBE)
            .args(["get", "nodes"])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        assert!(
            pods.status.success(),
            "{}",
            String::from_utf8_lossy(&pods.stderr)
        );
    }
    assert_eq!(server.child.try_wait().unwrap(), None);
    server.signal(Signal::TERM);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn json_logs_are_json_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pod.json");
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]}}"#;
    std::fs::write(&pod, text).unwrap();
    let pod = pod.to_str().unwrap();
    let args = [
        "--mock-runtime",
        "--log-format",
        "json",
        "--log",
        "debug",
        "-f",
        pod,
    ];
    let mut server = start(&args);
    let mut messages = Vec::new();
    while let Some(line) = server.line() {
        let line = json(&line);
        assert!(line["timestamp"].is_string() && line["level"].is_string());
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        messages.push(message.to_owned());
        if message == "pod/p created" {
            server.signal(Signal::INT);
        }
    }
    for wanted in [
        "ready in ",
        "pod/p created",
        "SIGINT received",
        "stopped in ",
    ] {
        let said = messages.iter().any(|message| message.starts_with(wanted));
        assert!(said, "{wanted} {messages:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_in_words() {
    for (args, words) in [
        (["--nodes", "1001"], "--nodes 1001: at most 1000"),
        (["--nodes", "-1"], "invalid value '-1' for '--nodes <N>'"),
        (["--node-cpu", "0"], "--node-cpu: must be more than 0"),
        (["--node-cpu", "-1"], "must not be negative"),
        (["--node-cpu", "x"], "quantities must match"),
        (["--node-memory", "1k"], "--node-memory: at least 16Mi"),
        (["--node-memory", "8Gx"], "quantities must match"),
        (["--node-pods", "0"], "--node-pods 0: a node needs room"),
        (["--node-pods", "5000"], "--node-pods 5000: at most 4000"),
        (["--egress", "1.2.3.4.5/7"], "egress rule \"1.2.3.4.5/7\""),
        (["--log-format", "xml"], "[possible values: text, json]"),
        (
            ["--shutdown-delay-duration", "soon"],
            "time: invalid duration \"soon\"",
        ),
        (
            ["--disable-admission-plugins", "Priority,Nothing"],
            "--disable-admission-plugins: admission plugin \"Nothing\" is unknown",
        ),
        (
            ["--authorization-mode", "ABAC"],
            "\"ABAC\" is not a valid mode; there are Node, RBAC, AlwaysAllow, AlwaysDeny",
        ),
        (
            ["--token-auth-file", "/dev/null/tokens"],
            "--token-auth-file: /dev/null/tokens: ",
        ),
        (
            ["--client-ca-file", "/dev/null/ca.crt"],
            "--client-ca-file /dev/null/ca.crt: ",
        ),
        (
            ["--audit-log-path", "-"],
            "--audit-policy-file and --audit-log-path go together",
        ),
    ] {
        let output = run(&[args[0], args[1], "--", "true"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{args:?}: {said}");
        assert_eq!(output.status.code(), Some(125), "{args:?}: {said}");
    }
}
