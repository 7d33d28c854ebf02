//! `apply` by kubectl and by wkube in turns: the same objects as by kubectl alone.

use super::compare::kubectl;
use crate::server::{Server, WKUBE};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// Applies a manifest from stdin; answers what was printed.
fn apply(server: &Server, program: &str, manifest: &Value, more: &[&str]) -> String {
    let args = [&["apply", "-f", "-"], more].concat();
    let mut child = server
        .command(program, &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = manifest.to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn named(value: &Value, name: &str) -> Value {
    serde_json::from_str(&value.to_string().replace("NAME", name)).unwrap()
}

/// The object as it is, without what differs from one to the next.
fn object(server: &Server, kind: &str, name: &str) -> String {
    let text = server.ok(WKUBE, &["get", kind, name, "-o", "json"]);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let metadata = value["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(field);
    }
    // Which node, which address, and what has become of it there, is the cluster's.
    value.as_object_mut().unwrap().remove("status");
    if let Some(spec) = value["spec"].as_object_mut() {
        for field in ["nodeName", "clusterIP", "clusterIPs"] {
            spec.remove(field);
        }
    }
    value.to_string().replace(name, "NAME")
}

fn service(ports: Value, more: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "NAME"},
        "spec": {"ports": ports},
    });
    for (field, value) in more.as_object().unwrap() {
        *service
            .pointer_mut("/metadata")
            .unwrap()
            .as_object_mut()
            .unwrap()
            .entry(field)
            .or_insert(Value::Null) = value.clone();
    }
    service
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "NAME"}, "spec": spec})
}

fn container(image: &str) -> Value {
    json!([{"name": "a", "image": image, "env": [{"name": "A", "value": "b"}]}])
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NAME"}, "data": data})
}

/// What is applied one after another to objects of a kind.
fn histories() -> Vec<(&'static str, Vec<Value>)> {
    let (a, b) = (
        json!({"name": "a", "port": 80}),
        json!({"name": "b", "port": 81}),
    );
    let c = json!({"name": "c", "port": 82, "targetPort": 8080});
    let services = vec![
        service(
            json!([a, b]),
            json!({"labels": {"x": "1"}, "finalizers": []}),
        ),
        service(json!([b, a]), json!({"labels": {"x": "1", "y": "2"}})),
        service(
            json!([c, a]),
            json!({"labels": {"y": "3"}, "annotations": {"n": "<&>"}}),
        ),
        service(
            json!([c, a]),
            json!({"labels": {"y": "3"}, "annotations": {"n": "<&>"}}),
        ),
        service(json!([{"name": "c", "port": 82}]), json!({})),
    ];
    let pods = vec![
        pod(json!({"containers": container("one")})),
        pod(json!({"containers": container("two"), "tolerations": [{"key": "k"}]})),
        pod(json!({"containers": container("three"), "tolerations": [{"key": "k"}]})),
    ];
    let maps = vec![
        map(json!({"a": "1", "b": "2"})),
        map(json!({"a": "1", "c": "3", "n": null})),
        map(json!({"a": "1", "c": "3"})),
        map(json!(null)),
        map(json!({"d": "4"})),
    ];
    vec![("service", services), ("pod", pods), ("configmap", maps)]
}

#[test]
fn kubectl_and_wkube_take_turns() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    for (kind, history) in histories() {
        for (step, manifest) in history.iter().enumerate() {
            let others = server.run(
                WKUBE,
                &["get", kind, "turn-theirs", "-o", "jsonpath={.kind}"],
            );
            assert_eq!(others.status.success(), step > 0);
            let turns = [kubectl.as_str(), WKUBE][step % 2];
            let mut said = Vec::new();
            for (name, program) in [
                ("turn-theirs", kubectl.as_str()),
                ("turn-ours", WKUBE),
                ("turn-both", turns),
            ] {
                let words = apply(&server, program, &named(manifest, name), &[]);
                said.push((words.replace(name, "NAME"), object(&server, kind, name)));
            }
            assert_eq!(said[1], said[0], "{kind} step {step}");
            assert_eq!(said[2], said[0], "{kind} step {step}, in turns");
        }
    }
}

#[test]
fn what_others_have_set_stays() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    let first = named(&map(json!({"a": "1", "b": "2"})), "shared");
    let theirs = named(&map(json!({"theirs": "3"})), "shared");
    let server_side = ["--server-side", "--field-manager=other"];
    assert_eq!(
        apply(&server, WKUBE, &theirs, &server_side),
        "configmap/shared serverside-applied\n"
    );
    let words = apply(&server, WKUBE, &first, &[]);
    assert!(
        words.starts_with("configmap/shared configured\n"),
        "{words}"
    );
    let second = named(&map(json!({"a": "1"})), "shared");
    assert_eq!(
        apply(&server, WKUBE, &second, &[]),
        "configmap/shared configured\n"
    );
    assert_eq!(
        apply(&server, WKUBE, &second, &[]),
        "configmap/shared unchanged\n"
    );
    let now = server.ok(WKUBE, &["get", "cm", "shared", "-o", "jsonpath={.data}"]);
    assert_eq!(now, r#"{"a":"1","theirs":"3"}"#);
    // Two managers of one field: refused unless forced.
    let theirs = named(&map(json!({"a": "9"})), "shared");
    let refused = apply(&server, WKUBE, &theirs, &server_side);
    assert!(
        refused.contains("conflict") && refused.contains("--force-conflicts"),
        "{refused}"
    );
    let forced = [&server_side[..], &["--force-conflicts"]].concat();
    apply(&server, WKUBE, &theirs, &forced);
    let now = server.ok(WKUBE, &["get", "cm", "shared", "-o", "jsonpath={.data}"]);
    assert_eq!(now, r#"{"a":"9"}"#);
    // Tried only: nothing changes.
    for (flag, words) in [
        (
            "--dry-run=client",
            "configmap/shared configured (dry run)\n",
        ),
        (
            "--dry-run=server",
            "configmap/shared configured (server dry run)\n",
        ),
    ] {
        let said = apply(&server, WKUBE, &first, &[flag]);
        assert!(said.starts_with(words), "{said}");
    }
    let now = server.ok(WKUBE, &["get", "cm", "shared", "-o", "jsonpath={.data}"]);
    assert_eq!(now, r#"{"a":"9"}"#);
}

/// Who owns what of a ConfigMap, without times.
fn owners(server: &Server, kubectl: &str, name: &str) -> Value {
    let text = server.ok(
        kubectl,
        &[
            "get",
            "configmap",
            name,
            "-o",
            "json",
            "--show-managed-fields",
        ],
    );
    let mut object: Value = serde_json::from_str(&text.replace(name, "NAME")).unwrap();
    let mut entries = object["metadata"]["managedFields"].take();
    for entry in entries.as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("time");
    }
    json!({"entries": entries, "data": object["data"], "annotations": object["metadata"]["annotations"]})
}

#[test]
fn server_side_apply_takes_over_from_client_side_apply() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    let (first, second) = (map(json!({"a": "1", "b": "2"})), map(json!({"a": "1"})));
    for manager in ["--field-manager=kubectl", "--field-manager=mine"] {
        let mut seen = Vec::new();
        for (name, client, later) in [
            ("theirs", kubectl.as_str(), kubectl.as_str()),
            ("ours", WKUBE, WKUBE),
            ("mixed", kubectl.as_str(), WKUBE),
            ("other", WKUBE, kubectl.as_str()),
        ] {
            let name = format!("{name}{}", manager.len());
            apply(&server, client, &named(&first, &name), &[]);
            let words = apply(
                &server,
                later,
                &named(&second, &name),
                &["--server-side", manager],
            );
            assert_eq!(words, format!("configmap/{name} serverside-applied\n"));
            seen.push(owners(&server, &kubectl, &name));
        }
        assert_eq!(seen[0]["data"], json!({"a": "1"}));
        for others in &seen[1..] {
            assert_eq!(*others, seen[0], "{manager}");
        }
    }
}
