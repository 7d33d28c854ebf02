//! What it costs to ask a thousand pods again and again how they are.

use super::Bench;
use super::figure::{Aim, Sample, alone};
use super::lab::{Lab, pause};
use super::server::Server;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) const BENCH: Bench = Bench {
    name: "probes",
    title: "1,000 pods that are probed",
    how: "A durable `wkube serve` with 1,000 pods of wasm-echo, each with a readiness probe by HTTP and a \
          liveness probe by TCP. When all have answered, the server's processor time and the probes \
          that it counts are taken over a window, the guests' answers included; first with both \
          every ten seconds, which is Kubernetes' default, then every second. What a probe costs is \
          the window's processor time divided by its probes.",
    shortfall: "",
    run,
};

/// The metric of probes.
const PROBES: &str = "prober_probe_total";
/// After the last pod, until the window begins.
const SETTLE: Duration = Duration::from_secs(15);
/// The window.
const WINDOW: Duration = Duration::from_secs(30);

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let count = if lab.quick { 100 } else { 1_000 };
    let mut samples = Vec::new();
    for period in [10, 1] {
        let (probes, cpu) = window(lab, count, period)?;
        let seconds = WINDOW.as_secs_f64();
        let what = |what: &str| format!("every {period} s: {what}");
        samples.extend([
            alone(&what("probes a second"), "/s", probes / seconds, Aim::None),
            alone(
                &what("processor time, of a core"),
                "%",
                100.0 * cpu / seconds,
                Aim::None,
            ),
            alone(&what("a probe"), "µs", 1e6 * cpu / probes, Aim::None),
        ]);
    }
    Ok(samples)
}

/// Probes in the window, and the seconds of processor time that the server used in it.
fn window(lab: &Lab, count: usize, period: u32) -> Result<(f64, f64), String> {
    let places = (count + 10).to_string();
    let args = ["--node-pods", &places, "--node-memory", "1Ti"];
    let server = Server::start(lab, None, &args)?;
    server.apply(lab, &manifest(count, period))?;
    let probes = || {
        let mut args: Vec<OsString> = vec!["metric".into(), "--kubeconfig".into()];
        args.push(server.kubeconfig().into());
        args.push(PROBES.into());
        lab.peers(args)?.get(PROBES)
    };
    pause(SETTLE);
    let (before, used) = (probes()?, server.usage()?.cpu_seconds);
    pause(WINDOW);
    let cpu = server.usage()?.cpu_seconds - used;
    let probes = probes()? - before;
    // Both kinds of each pod, and a few may fall beside the window.
    let wanted = 2.0 * count as f64 * WINDOW.as_secs_f64() / f64::from(period);
    if probes < wanted * 0.9 {
        return Err(format!(
            "{probes} probes were answered, and {wanted} were due"
        ));
    }
    Ok((probes, cpu))
}

fn manifest(count: usize, period: u32) -> String {
    let mut text = String::new();
    for index in 0..count {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: probed-{index}}}\nspec:\n  \
             containers:\n  - name: echo\n    image: gihyodocker/echo:latest\n    readinessProbe: \
             {{httpGet: {{port: 8080, path: /}}, periodSeconds: {period}}}\n    livenessProbe: \
             {{tcpSocket: {{port: 8080}}, periodSeconds: {period}}}"
        );
    }
    text
}
