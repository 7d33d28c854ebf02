//! How many pods the scheduler gives a node in a second, in a cluster of thousands of nodes.

use super::Bench;
use super::figure::{Aim, Sample, alone};
use super::lab::Lab;
use super::server::Server;
use std::ffi::OsString;

pub(super) const BENCH: Bench = Bench {
    name: "sched",
    title: "Scheduling in a cluster of 5,000 nodes",
    how: "A durable `wkube serve --nodes 0`; a client makes 5,000 Node objects (4 cores, 32 GiB, in ten \
          zones) that nobody runs, and 30,000 pods (100m, 500Mi, in groups of a hundred), while it holds \
          the lease of Kubernetes' scheduler, for which wkube's waits. Then it gives the lease up. Bound: \
          pods divided by the time from the first binding that a watch sees to the last, each binding \
          written durably. Decided: by the scheduler's own count of the time that its decisions took. \
          Affinity: each pod wants the zone of its group; anti-affinity: no two of a group on a node; \
          spread: each group over the zones, by at most five more in one (10,000 pods each). \
          kube-scheduler's own gates for such shapes are 270, 35, 60 and 85 a second.",
    shortfall: "",
    run,
};

/// The time that decisions took.
const TIME: &str = "scheduler_scheduling_algorithm_duration_seconds_sum";
/// Seconds that one shape may take.
const SECONDS: usize = 500;

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let (nodes, many, some) = if lab.quick {
        (200, 1_000, 500)
    } else {
        (5_000, 30_000, 10_000)
    };
    let mut samples = Vec::new();
    for (shape, pods, aim) in [
        ("plain", many, 10_000.0),
        ("affinity", some, 1_000.0),
        ("anti", some, 1_000.0),
        ("spread", some, 1_000.0),
    ] {
        let (bound_s, decided_s) = measure(lab, shape, nodes, pods)?;
        let what = |what: &str| format!("{shape}, {pods} pods: {what} a second");
        let rate = |seconds: f64| pods as f64 / seconds;
        samples.extend([
            alone(&what("bound"), "/s", rate(bound_s), Aim::None),
            alone(&what("decided"), "/s", rate(decided_s), Aim::AtLeast(aim)),
        ]);
    }
    Ok(samples)
}

/// Seconds until all were bound, and those that decisions took.
fn measure(lab: &Lab, shape: &str, nodes: usize, pods: usize) -> Result<(f64, f64), String> {
    let server = Server::start(lab, None, &["--nodes", "0"])?;
    let mut args: Vec<OsString> = vec!["sched".into(), "--kubeconfig".into()];
    args.push(server.kubeconfig().into());
    for (name, value) in [
        ("--nodes", nodes.to_string()),
        ("--pods", pods.to_string()),
        ("--shape", shape.to_owned()),
        ("--seconds", SECONDS.to_string()),
    ] {
        args.extend([name.into(), value.into()]);
    }
    let bound = lab.peers(args)?.get("bound_s")?;
    let mut args: Vec<OsString> = vec!["metric".into(), "--kubeconfig".into()];
    args.push(server.kubeconfig().into());
    args.push(TIME.into());
    Ok((bound, lab.peers(args)?.get(TIME)?))
}
