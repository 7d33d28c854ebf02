//! What the API costs: writes and reads a second beside etcd's own, a long list, many watchers.

use super::Bench;
use super::figure::{Aim, Sample, alone, beside};
use super::lab::{Findings, Folder, Lab, Running, free_port, pause};
use super::server::{Server, Usage};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(super) const BENCH: Bench = Bench {
    name: "api",
    title: "requests, lists and watches",
    how: "The load generator is `wkube-peers api|etcd|list|watchers`, one thread of its own that shares \
          the machine's cores; *generator* tells what of a core it takes. Writes and reads: 32 TLS \
          connections with one request under way each, ten seconds after one to warm up; ConfigMaps of \
          1 KiB as JSON over HTTP/1.1 with a client certificate, through roles, admission and field \
          ownership; Debian's etcd: keys of 1 KiB, its own protocol over HTTP/2 and TLS, linearizable \
          reads, on the same disk. Both answer a write when it is synced. The list is of 10,000 pods \
          that no scheduler takes, the median of five; *memory* is what the server grew by, a pod. The \
          watchers are 1,000 connections; one client changes an object 1,000 times, 25 times a second, \
          and a delay is from the sending of a change to its event.",
    shortfall: "",
    run,
};

/// What is done: seconds of load, pods in the list, watchers, changes.
struct Shape {
    seconds: &'static str,
    pods: u32,
    watchers: &'static str,
    writes: &'static str,
}

const FULL: Shape = Shape {
    seconds: "10",
    pods: 10_000,
    watchers: "1000",
    writes: "1000",
};
const QUICK: Shape = Shape {
    seconds: "2",
    pods: 1_000,
    watchers: "100",
    writes: "100",
};

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let etcd = lab.debian("etcd-server", "usr/bin/etcd")?;
    let shape = if lab.quick { QUICK } else { FULL };
    let mut samples = load(lab, &etcd, &shape)?;
    samples.extend(list(lab, &shape)?);
    samples.extend(watchers(lab, &shape)?);
    Ok(samples)
}

fn load(lab: &Lab, etcd: &Path, shape: &Shape) -> Result<Vec<Sample>, String> {
    let seconds = ["--seconds", shape.seconds].map(OsString::from);
    let server = Server::start(lab, None, &["--mock-runtime"])?;
    let ours = ask(lab, "api", &server, &seconds)?;
    drop(server);
    let (_etcd, address) = start_etcd(lab, etcd)?;
    let mut args = vec![OsString::from("etcd"), "--address".into(), address.into()];
    args.extend(seconds);
    let theirs = lab.peers(args)?;
    let pair = |what: &str, unit, name: &str, aim| {
        let (ours, theirs) = (ours.get(name)?, theirs.get(name)?);
        Ok::<_, String>(beside(what, unit, ours, ("etcd", theirs), aim))
    };
    let aim = Aim::RatioAtLeast(1.0);
    Ok(vec![
        pair("creates", "/s", "creates_per_s", aim)?,
        pair(
            "creates: generator",
            "cores",
            "creates_generator_cpu",
            Aim::None,
        )?,
        pair("reads", "/s", "gets_per_s", aim)?,
        pair("reads: generator", "cores", "gets_generator_cpu", Aim::None)?,
    ])
}

/// Runs a subcommand of the peers' program against a server.
fn ask(lab: &Lab, name: &str, server: &Server, args: &[OsString]) -> Result<Findings, String> {
    let mut all = vec![OsString::from(name), "--kubeconfig".into()];
    all.push(server.kubeconfig().into());
    all.extend_from_slice(args);
    lab.peers(all)
}

/// An etcd that serves over TLS, and where.
fn start_etcd(lab: &Lab, etcd: &Path) -> Result<(Peer, String), String> {
    let data = lab.folder("etcd")?;
    let mut made = vec![OsString::from("certificate"), "--folder".into()];
    made.push(data.path().into());
    lab.peers(made)?;
    let (client, peer) = (free_port()?, free_port()?);
    let client_url = format!("https://127.0.0.1:{client}");
    let peer_url = format!("http://127.0.0.1:{peer}");
    let child = Command::new(etcd)
        .arg("--data-dir")
        .arg(data.path().join("data"))
        .arg("--cert-file")
        .arg(data.path().join("server.crt"))
        .arg("--key-file")
        .arg(data.path().join("server.key"))
        .args(["--log-level", "error"])
        .args(["--listen-client-urls", &client_url])
        .args(["--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &peer_url])
        .args(["--initial-advertise-peer-urls", &peer_url])
        .args(["--initial-cluster", &format!("default={peer_url}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("etcd: {error}"))?;
    let running = Peer {
        _child: Running(child),
        _data: data,
    };
    let address = format!("127.0.0.1:{client}");
    for _ in 0..ASKS_MAX {
        if std::net::TcpStream::connect(&address).is_ok() {
            return Ok((running, address));
        }
        pause(ASK_AGAIN);
    }
    Err("etcd does not listen".to_owned())
}

/// How often it is looked whether etcd listens, and the time between.
const ASKS_MAX: usize = 200;
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A peer that runs; its data go with it.
struct Peer {
    _child: Running,
    _data: Folder,
}

fn list(lab: &Lab, shape: &Shape) -> Result<Vec<Sample>, String> {
    let server = Server::start(lab, None, &["--mock-runtime"])?;
    let before: Usage = server.usage()?;
    let count = shape.pods.to_string();
    let args = ["--count", &count].map(OsString::from);
    let found = ask(lab, "list", &server, &args)?;
    let grown = server.usage()?.resident_bytes - before.resident_bytes;
    let megabytes = found.get("list_bytes")? / 1e6;
    Ok(vec![
        alone(
            "list: first byte",
            "ms",
            found.get("first_byte_ms")?,
            Aim::None,
        ),
        alone(
            "list: last byte",
            "ms",
            found.get("last_byte_ms")?,
            Aim::None,
        ),
        alone("list: size", "MB", megabytes, Aim::None),
        alone(
            "memory a pod",
            "KiB",
            grown / 1024.0 / f64::from(shape.pods),
            Aim::None,
        ),
    ])
}

fn watchers(lab: &Lab, shape: &Shape) -> Result<Vec<Sample>, String> {
    let server = Server::start(lab, None, &["--mock-runtime"])?;
    let before = server.usage()?;
    let args = [
        "--count",
        shape.watchers,
        "--writes",
        shape.writes,
        "--every-ms",
        "40",
    ];
    let found = ask(lab, "watchers", &server, &args.map(OsString::from))?;
    let spent = server.usage()?.cpu_seconds - before.cpu_seconds;
    let an_event = spent * 1e6 / found.get("events")?;
    Ok(vec![
        alone("watch: delay p50", "ms", found.get("p50_ms")?, Aim::None),
        alone("watch: delay p99", "ms", found.get("p99_ms")?, Aim::None),
        alone("watch: events", "/s", found.get("events_per_s")?, Aim::None),
        alone("watch: processor time an event", "µs", an_event, Aim::None),
        alone(
            "watch: generator",
            "cores",
            found.get("generator_cpu")?,
            Aim::None,
        ),
    ])
}
