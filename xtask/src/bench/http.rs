//! Requests a second to a `wasi:http` component.

use super::Bench;
use super::figure::{Aim, Sample, beside};
use super::lab::{Lab, Running, free_port};
use super::server::{Server, Usage};
use std::ffi::OsString;
use std::process::{Command, Stdio};

pub(super) const BENCH: Bench = Bench {
    name: "http",
    title: "requests a second to a wasi:http component",
    how: "A load generator in a process of its own, 32 connections that are kept, ten seconds after \
          one to warm up, against examples/wasm-http: as a pod with a hostPort, and the same \
          compiled code under bare wasmtime and hyper with the same pool and the same reuse of \
          instances. All share the machine's cores. Processor time is the server's for each answer.",
    shortfall: "An answer costs wkube about a sixth more processor time than the bare embedding: the \
                bytes of the hostPort's socket are copied into the pod's network, where the \
                component's server reads them. A door that hands its socket to the handler itself, \
                where the port is the one that wasi:http is served on, would mend it.",
    run,
};

const SECONDS: &str = "10";
const SECONDS_QUICK: &str = "3";

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let server = Server::start(lab, None, &[])?;
    let port = free_port()?;
    server.apply(lab, &manifest(port))?;
    server.until(
        lab,
        &["get", "pod", "wasm-http", "-o", "jsonpath={.status.phase}"],
        "Running",
    )?;
    let pod = load(lab, port, || server.usage())?;
    let code = server.only_code()?;
    let port = free_port()?;
    let child = Command::new(&lab.peers)
        .arg("http")
        .arg(code)
        .args(["--port", &port.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let child = Running(child);
    let bare = load(lab, port, || Usage::of(child.0.id()))?;
    let peer = "bare";
    Ok(vec![
        beside(
            "answers a second",
            "/s",
            pod.0,
            (peer, bare.0),
            Aim::RatioAtLeast(0.9),
        ),
        beside(
            "processor time an answer",
            "µs",
            pod.1,
            (peer, bare.1),
            Aim::None,
        ),
    ])
}

/// Answers a second, and microseconds of the server's processor time for each.
fn load(
    lab: &Lab,
    port: u16,
    usage: impl Fn() -> Result<Usage, String>,
) -> Result<(f64, f64), String> {
    let call = |seconds: &str| {
        let mut args: Vec<OsString> = vec!["load".into(), "--address".into()];
        args.push(format!("127.0.0.1:{port}").into());
        args.extend(["--seconds".into(), seconds.into()]);
        lab.peers(args)
    };
    // The first waits until it listens, and makes the instances.
    call("1")?;
    let before = usage()?;
    let found = call(if lab.quick { SECONDS_QUICK } else { SECONDS })?;
    let spent = usage()?.cpu_seconds - before.cpu_seconds;
    Ok((
        found.get("answers_per_s")?,
        spent * 1e6 / found.get("all_answers")?,
    ))
}

fn manifest(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: wasm-http\nspec:\n  containers:\n  \
         - name: http\n    image: wkube/wasm-http:latest\n    imagePullPolicy: IfNotPresent\n    \
         ports:\n    - containerPort: 8080\n      hostPort: {port}\n"
    )
}
