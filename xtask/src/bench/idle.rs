//! What a server costs that has nothing to do, and what it leaves on the disk.

use super::Bench;
use super::figure::{Aim, Sample, alone};
use super::lab::{Findings, Lab, pause};
use super::server::Server;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

pub(super) const BENCH: Bench = Bench {
    name: "idle",
    title: "a server with nothing to do",
    how: "A durable `wkube serve` with 10 pods of wasm-echo, left alone; memory, processor time and \
          the bytes that it writes (`wchar`) are read from /proc, the syncs of files from /metrics. \
          `write_bytes` of /proc is no use: where the page cache has large folios it counts 256 KiB \
          for a block of 4 KiB that alone reaches the disk. What is written is told for ten \
          minutes, whatever `--idle-minutes` says. Then one ConfigMap is \
          changed 100,000 times by one client, on a server of its own.",
    shortfall: "Most of the memory is the program itself, mapped from its file: clean pages that the kernel \
                takes back when it needs them, shared by several servers. A smaller program mends it: \
                link-time optimization, and wasmtime without what no guest uses.",
    run,
};

/// Between the last pod and the window: what is written with a delay is written.
const SETTLE: Duration = Duration::from_secs(20);
/// The metric of syncs.
const SYNCS: &str = "wkube_store_fsyncs_total";

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let mut samples = idle(lab)?;
    samples.extend(updates(lab)?);
    let binary = std::fs::metadata(&lab.wkube).map_err(|error| error.to_string())?;
    let mb = binary.len() as f64 / 1e6;
    samples.push(alone("the binary", "MB", mb, Aim::None));
    Ok(samples)
}

fn idle(lab: &Lab) -> Result<Vec<Sample>, String> {
    let server = Server::start(lab, None, &[])?;
    drive(lab, &server, "pods", &["--count", "10", "--seconds", "60"])?;
    pause(SETTLE);
    let syncs = || drive(lab, &server, "metric", &[SYNCS])?.get(SYNCS);
    let syncs_before = syncs()?;
    let before = server.usage()?;
    let minutes = lab.idle_minutes;
    pause(Duration::from_secs(60 * minutes));
    let after = server.usage()?;
    let synced = syncs()? - syncs_before;
    let cpu = (after.cpu_seconds - before.cpu_seconds) / (60.0 * minutes as f64);
    let in_ten = 10.0 / minutes as f64;
    let written = (after.written_bytes - before.written_bytes) * in_ten;
    Ok(vec![
        alone(
            "memory with 10 pods",
            "MB",
            after.resident_bytes / 1e6,
            Aim::AtMost(40.0),
        ),
        alone(
            "of it not mapped from files",
            "MB",
            after.anonymous_bytes / 1e6,
            Aim::None,
        ),
        alone(
            "processor time, of a core",
            "%",
            cpu * 100.0,
            Aim::AtMost(1.0),
        ),
        alone(
            "written in ten minutes",
            "MB",
            written / 1e6,
            Aim::AtMost(0.4),
        ),
        alone("syncs in ten minutes", "times", synced * in_ten, Aim::None),
    ])
}

fn updates(lab: &Lab) -> Result<Vec<Sample>, String> {
    let (few, many) = if lab.quick {
        (2_000, 4_000)
    } else {
        (50_000, 50_000)
    };
    let server = Server::start(lab, None, &[])?;
    let update = |count: usize| {
        drive(lab, &server, "updates", &["--count", &count.to_string()])?.get("updated_s")
    };
    let first_s = update(few)?;
    let first = size(server.data.path());
    let second_s = update(many)?;
    let second = size(server.data.path());
    let total = (few + many) as f64;
    Ok(vec![
        alone(
            "data directory after all updates",
            "MB",
            second / 1e6,
            Aim::None,
        ),
        alone(
            "that, beside after half of them",
            "times",
            second / first,
            Aim::AtMost(1.25),
        ),
        alone(
            "durable updates a second",
            "/s",
            total / (first_s + second_s),
            Aim::None,
        ),
    ])
}

fn drive(lab: &Lab, server: &Server, verb: &str, more: &[&str]) -> Result<Findings, String> {
    let mut args: Vec<OsString> = vec![verb.into(), "--kubeconfig".into()];
    args.push(server.kubeconfig().into());
    args.extend(more.iter().map(OsString::from));
    lab.peers(args)
}

/// Bytes of the files below `folder`, as they are on the disk.
fn size(folder: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.blocks() as f64 * 512.0,
        Err(_) => 0.0,
    });
    sizes.sum()
}
