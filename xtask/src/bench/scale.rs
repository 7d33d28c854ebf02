//! Many pods: how fast they come, what each costs, and whether ten times as many cost ten times as
//! much.

use super::Bench;
use super::figure::{Aim, Sample, alone};
use super::lab::Lab;
use super::server::Server;
use std::ffi::OsString;

pub(super) const BENCH: Bench = Bench {
    name: "scale",
    title: "1,000 and 10,000 pods",
    how: "A durable `wkube serve --nodes 3 --node-pods 4000` for each number, Events on; a client \
          over 8 TLS connections makes that many pods of wasm-echo and watches until all are Ready; \
          then each answers one request through the API server's proxy. Processor time and memory \
          are the server's, from before the first request until all are Ready, for each pod; from \
          the memory the pages of linear memory that the guest itself touches are taken off \
          (measured on one guest under bare wasmtime).",
    shortfall: "The processor time is the control plane's: with `--mock-runtime`, where no wasm runs, a pod \
                costs the same. A pod is a create, a binding, a status and four Events; each is decoded, \
                admitted, owned, encoded, written, and heard by the watchers. Of the memory beyond the \
                guest's own about 75 KiB a pod are the control plane's as well (the pod and its Events, as \
                bytes and decoded, in the cache, the history and the informers), the rest the sandbox: \
                stack, instance, handles, the pod's network. Events that are kept as bytes alone, and \
                informers that share the decoded pod, would mend most of it.",
    run,
};

/// Seconds that the pods of one server may take.
const SECONDS: usize = 240;

/// What one server with so many pods needed.
struct Cost {
    ready_s: f64,
    answered_s: f64,
    cpu_s: f64,
    grown_bytes: f64,
    touched_bytes: f64,
}

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let (few, many) = if lab.quick {
        (200, 2_000)
    } else {
        (1_000, 10_000)
    };
    let first = cost(lab, few)?;
    let second = cost(lab, many)?;
    let mut samples = Vec::new();
    for (count, cost) in [(few, &first), (many, &second)] {
        let each = |total: f64| total / count as f64;
        let beyond = each(cost.grown_bytes) - cost.touched_bytes;
        let what = |what: &str| format!("{count} pods: {what}");
        samples.extend([
            alone(
                &what("pods a second, all Ready"),
                "/s",
                count as f64 / cost.ready_s,
                Aim::AtLeast(2_000.0),
            ),
            alone(
                &what("processor time a pod"),
                "µs",
                each(cost.cpu_s) * 1e6,
                Aim::None,
            ),
            alone(
                &what("memory a pod beyond the guest's own"),
                "KiB",
                beyond / 1024.0,
                Aim::AtMost(60.0),
            ),
            alone(
                &what("the guest's own memory"),
                "KiB",
                cost.touched_bytes / 1024.0,
                Aim::None,
            ),
            alone(
                &what("answers a second afterwards"),
                "/s",
                count as f64 / cost.answered_s,
                Aim::None,
            ),
        ]);
    }
    samples.push(alone(
        "time for ten times as many",
        "times",
        second.ready_s / first.ready_s,
        Aim::AtMost(10.0),
    ));
    Ok(samples)
}

fn cost(lab: &Lab, count: usize) -> Result<Cost, String> {
    let server = Server::start(
        lab,
        None,
        &[
            "--nodes",
            "3",
            "--node-pods",
            "4000",
            "--node-memory",
            "1Ti",
        ],
    )?;
    let drive = |verb: &str, more: &[&str]| {
        let mut args: Vec<OsString> = vec![verb.into(), "--kubeconfig".into()];
        args.push(server.kubeconfig().into());
        args.extend(["--count".into(), count.to_string().into()]);
        args.extend(more.iter().map(OsString::from));
        lab.peers(args)
    };
    // One pod comes and goes first, so that what follows is about pods and not about the first.
    lab.peers([
        OsString::from("pod"),
        "--kubeconfig".into(),
        server.kubeconfig().into(),
        "--count".into(),
        "1".into(),
    ])?;
    let before = server.usage()?;
    let made = drive("pods", &["--seconds", &SECONDS.to_string()])?;
    let after = server.usage()?;
    let asked = drive("ask", &[])?;
    let code = server.only_code()?;
    let touched = lab.peers([
        OsString::from("touched"),
        code.into(),
        "--".into(),
        "--port".into(),
        "0".into(),
    ])?;
    Ok(Cost {
        ready_s: made.get("ready_s")?,
        answered_s: asked.get("answered_s")?,
        cpu_s: after.cpu_seconds - before.cpu_seconds,
        grown_bytes: after.resident_bytes - before.resident_bytes,
        touched_bytes: touched.get("touched_bytes")?,
    })
}
