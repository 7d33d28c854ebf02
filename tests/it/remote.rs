//! exec and attach by the real kubectl, over SPDY and over WebSockets, whatever kubectl is found.

use crate::kubectl::kubectls;
use crate::server::{Server, WKUBE};
use std::io::Write;
use std::process::{Output, Stdio};

const TOOL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/guests/prebuilt/tool-p2.wasm"
);

/// Runs a client with something to read; over SPDY if `spdy`.
fn piped(server: &Server, kubectl: &str, args: &[&str], spdy: bool, input: &str) -> Output {
    let mut command = server.command(kubectl, args);
    command
        .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", (!spdy).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A client that does not read has gone before all is written.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn apply(server: &Server, name: &str, container: &str) {
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: Never, \
         containers: [{{name: c, {container}}}]}}}}"
    );
    let file = server.kubeconfig.with_file_name(format!("{name}.yaml"));
    std::fs::write(&file, pod).unwrap();
    server.ok(WKUBE, &["apply", "-f", file.to_str().unwrap()]);
    server.until(WKUBE, &["get", "pod", name], |text| {
        text.contains("Running")
    });
}

/// Waits until so many commands are run.
fn open_streams(server: &Server, kubectl: &str, wanted: u32) {
    server.until(kubectl, &["get", "--raw", "/metrics"], |text| {
        let of_exec = |line: &&str| {
            line.starts_with("apiserver_longrunning_requests{")
                && line.contains("subresource=\"exec\"")
        };
        let values = text.lines().filter(of_exec);
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
        values.sum::<u32>() == wanted
    });
}

#[test]
fn a_command_s_streams_and_its_exit_code_come_through() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &["--mock-runtime"]);
        apply(&server, "p", "image: 'x:1', stdin: true");
        for spdy in [false, true] {
            let exec = |args: &[&str], input: &str| {
                let args = [&["exec", "-i", "p", "--"], args].concat();
                said(&piped(&server, &kubectl, &args, spdy, input))
            };
            let (code, out, _) = exec(&["echo", "a  b", "c&d=e"], "");
            assert_eq!((code, out.as_str()), (Some(0), "a  b c&d=e\n"), "{kubectl}");
            let (code, out, err) = exec(&["complain", "x"], "");
            assert_eq!((code, out.as_str()), (Some(0), ""));
            assert!(err.contains("x\n"), "{err}");
            let (code, _, err) = exec(&["exit", "7"], "");
            assert_eq!(code, Some(7), "{kubectl}: {err}");
            assert!(err.contains("command terminated with exit code 7"), "{err}");
            let (code, _, err) = exec(&["nothing"], "");
            assert_eq!(code, Some(1));
            assert!(
                err.contains("error executing command in container: exec: \"nothing\""),
                "{err}"
            );
            // More than waits anywhere on the way, to its end.
            let long = "0123456789abcdef".repeat(64 << 10);
            let (code, out, err) = exec(&["cat"], &long);
            assert_eq!((code, out.len()), (Some(0), long.len()), "{kubectl}: {err}");
            assert!(out == long);
        }
        let (code, _, err) = said(&piped(
            &server,
            &kubectl,
            &["exec", "p", "-c", "x", "--", "a"],
            false,
            "",
        ));
        assert_eq!(code, Some(1));
        assert!(err.contains("container x"), "{err}");
        // One that vanishes in the midst of it leaves nothing behind.
        for spdy in ["true", "false"] {
            let mut command = server.command(&kubectl, &["exec", "-i", "p", "--", "cat"]);
            command
                .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", spdy)
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            let mut child = command.spawn().unwrap();
            open_streams(&server, &kubectl, 1);
            child.kill().unwrap();
            child.wait().unwrap();
            open_streams(&server, &kubectl, 0);
        }
        assert!(server.terminate());
    }
}

#[test]
fn a_guest_is_attached_to_and_is_told_what_is_typed() {
    for kubectl in kubectls() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let build = std::process::Command::new(WKUBE)
            .args(["image", "build", "--data-dir", data, "-t", "tool:1", TOOL])
            .output()
            .unwrap();
        assert!(build.status.success(), "{build:?}");
        let server = Server::start(folder.path(), &[]);
        for (name, spdy) in [("a", false), ("b", true)] {
            let container = "image: 'tool:1', args: [stdin], stdin: true, stdinOnce: true";
            apply(&server, name, container);
            let args = ["attach", "-i", name];
            let (code, out, err) = said(&piped(&server, &kubectl, &args, spdy, "hello\n"));
            assert_eq!(code, Some(0), "{kubectl}: {err}");
            assert_eq!(out, "read \"hello\\n\"\n", "{kubectl}: {err}");
        }
        apply(&server, "deaf", "image: 'tool:1', args: [sleep]");
        let (code, _, err) = said(&piped(
            &server,
            &kubectl,
            &["attach", "-i", "deaf"],
            false,
            "",
        ));
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("reads no stdin"), "{err}");
        let exec = ["exec", "deaf", "--", "ls"];
        let (code, _, err) = said(&piped(&server, &kubectl, &exec, false, ""));
        assert_eq!(code, Some(1));
        assert!(
            err.contains("a wasm container cannot run a second command yet"),
            "{err}"
        );
        assert!(server.terminate());
    }
}
