//! Deployments: how long until all their pods are Available, how long a rolling update takes, whether
//! more pods cost more each, and what the controllers use when there is nothing to do.

use super::Bench;
use super::figure::{Aim, Sample, alone, beside};
use super::follow::Follower;
use super::lab::{Lab, Running, pause};
use super::server::Server;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const BENCH: Bench = Bench {
    name: "workloads",
    title: "Deployments",
    how: "A durable `wkube serve --nodes 3 --node-pods 4000` for each number, Events on, where one pod of \
          wasm-echo runs already. `wkube apply` makes one Deployment of that many replicas; then `wkube \
          apply` changes its template, and the default strategy (a quarter more, a quarter fewer) replaces \
          all pods. Both are timed from before the exec of the command to the event of a watch that says \
          that as many replicas are updated and Available as are wanted and that no other pod is there, \
          not even one that is terminating. *raw pods* are as many pods without a controller, made over 8 \
          TLS connections on a server of their own, to all Ready. Processor time and memory are the \
          server's, until all are Available, for each pod. Then 1,000 Deployments of one replica, by 8 \
          `wkube create` at once, each with a TLS connection of its own, until all are Available: its aim \
          is what `kwokctl scale` took on another machine to make 1,000 Deployments, without the wait for \
          their fake pods that came after (kubernetes-sigs/kwok#1533). *At rest* is a window in which \
          nothing is asked of the server but the one watch. Generator and server share the machine's \
          cores.",
    shortfall: "",
    run,
};

/// How much is made, and how long the server is then left alone.
struct Shape {
    ladder: [usize; 3],
    deployments: usize,
    settle: Duration,
    window: Duration,
}

const FULL: Shape = Shape {
    ladder: [100, 1_000, 5_000],
    deployments: 1_000,
    settle: Duration::from_secs(20),
    window: Duration::from_secs(30),
};
const QUICK: Shape = Shape {
    ladder: [50, 200, 500],
    deployments: 200,
    settle: Duration::from_secs(5),
    window: Duration::from_secs(5),
};

/// What 1,000 Deployments may take, in seconds: what KWOK needs for the objects alone.
const DEPLOYMENTS_MAX: f64 = 7.1;
/// A growth that is straight: what comes last costs what came first.
const STRAIGHT: Aim = Aim::AtMost(1.0);
/// Commands, and with them TLS connections, that make Deployments at once.
const MAKERS: usize = 8;
/// Seconds that the pods without a controller may take.
const RAW_SECONDS: &str = "240";
/// The nodes: room for the largest Deployment, its surge, and what is still going.
const NODES: [&str; 6] = [
    "--nodes",
    "3",
    "--node-pods",
    "4000",
    "--node-memory",
    "1Ti",
];

/// What one Deployment needed.
struct Step {
    count: usize,
    available_s: f64,
    update_s: f64,
    raw_s: f64,
    cpu_s: f64,
    update_cpu_s: f64,
    grown_bytes: f64,
    /// Processor time in the window in which nothing happens, in seconds.
    rest_cpu_s: f64,
}

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let shape = if lab.quick { &QUICK } else { &FULL };
    let mut steps = Vec::new();
    for count in shape.ladder {
        steps.push(step(lab, shape, count)?);
    }
    let mut samples = Vec::new();
    for step in &steps {
        samples.extend(samples_of(step));
    }
    if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
        let growth = |time: fn(&Step) -> f64| {
            let each = |step: &Step| time(step) / step.count as f64;
            each(last) / each(first)
        };
        let which = format!("of {} beside {}", last.count, first.count);
        let (created, updated) = (
            growth(|step| step.available_s),
            growth(|step| step.update_s),
        );
        samples.extend([
            beside(
                &format!("time a replica, {which}"),
                "times",
                created,
                ("raw pods", growth(|step| step.raw_s)),
                STRAIGHT,
            ),
            alone(
                &format!("time a replica of the update, {which}"),
                "times",
                updated,
                STRAIGHT,
            ),
            at_rest(&format!("{} replicas", last.count), last.rest_cpu_s, shape),
        ]);
    }
    samples.extend(many(lab, shape)?);
    Ok(samples)
}

fn samples_of(step: &Step) -> Vec<Sample> {
    let count = step.count as f64;
    let what = |what: &str| format!("{} replicas: {what}", step.count);
    let raw = |value: f64| ("raw pods", value);
    let none = |name: &str, unit, value| alone(&what(name), unit, value, Aim::None);
    vec![
        beside(
            &what("to all Available"),
            "s",
            step.available_s,
            raw(step.raw_s),
            Aim::None,
        ),
        beside(
            &what("pods a second"),
            "/s",
            count / step.available_s,
            raw(count / step.raw_s),
            Aim::None,
        ),
        none("time a replica", "ms", step.available_s * 1e3 / count),
        none("processor time a pod", "µs", step.cpu_s * 1e6 / count),
        none("memory a pod", "KiB", step.grown_bytes / 1024.0 / count),
        none("rolling update", "s", step.update_s),
        none(
            "rolling update: time a replica",
            "ms",
            step.update_s * 1e3 / count,
        ),
        none(
            "rolling update: processor time a replica",
            "µs",
            step.update_cpu_s * 1e6 / count,
        ),
    ]
}

fn at_rest(what: &str, cpu_s: f64, shape: &Shape) -> Sample {
    let percent = 100.0 * cpu_s / shape.window.as_secs_f64();
    let what = format!("at rest, {what}: processor time, of a core");
    alone(&what, "%", percent, Aim::AtMost(1.0))
}

/// A server, and what follows its Deployments: one of them is there and Available, so that the image
/// is compiled, and the watch is known to tell.
fn started(lab: &Lab) -> Result<(Server, Follower), String> {
    let server = Server::start(lab, None, &NODES)?;
    server.apply(lab, &deployment("first", 1, "1"))?;
    let follower = Follower::start(lab, &server)?;
    follower.until(|told| told.name == "first" && told.settled())?;
    Ok((server, follower))
}

/// One Deployment of `count` replicas: made, updated, left alone; then as many pods without it.
fn step(lab: &Lab, shape: &Shape, count: usize) -> Result<Step, String> {
    let (server, follower) = started(lab)?;
    let reached = |generation: u64, template: &str| {
        let (began, before) = (Instant::now(), server.usage()?);
        server.apply(lab, &deployment("bench", count, template))?;
        follower.until(|told| {
            told.name == "bench" && told.generation == generation && told.settled()
        })?;
        let took = began.elapsed().as_secs_f64();
        let after = server.usage()?;
        let cpu = after.cpu_seconds - before.cpu_seconds;
        Ok::<_, String>((took, cpu, after.resident_bytes - before.resident_bytes))
    };
    let (available_s, cpu_s, grown_bytes) = reached(1, "1")?;
    let (update_s, update_cpu_s, _) = reached(2, "2")?;
    // The status is believed only where the list says the same: these, and the first.
    let there = server.wkube(lab, &["get", "pods", "--output", "name"])?;
    let there = there.lines().count();
    if there != count + 1 {
        return Err(format!(
            "{there} pods are there after the update of {count}"
        ));
    }
    let rest_cpu_s = rest(&server, shape)?;
    drop((follower, server));
    Ok(Step {
        count,
        available_s,
        update_s,
        raw_s: raw(lab, count)?,
        cpu_s,
        update_cpu_s,
        grown_bytes,
        rest_cpu_s,
    })
}

/// Processor time of a server that is left alone, over the window.
fn rest(server: &Server, shape: &Shape) -> Result<f64, String> {
    pause(shape.settle);
    let before = server.usage()?.cpu_seconds;
    pause(shape.window);
    Ok(server.usage()?.cpu_seconds - before)
}

/// Seconds until as many pods that no controller made are Ready.
fn raw(lab: &Lab, count: usize) -> Result<f64, String> {
    let (server, _follower) = started(lab)?;
    let mut args: Vec<OsString> = vec!["pods".into(), "--kubeconfig".into()];
    args.push(server.kubeconfig().into());
    args.extend(["--count".into(), count.to_string().into()]);
    args.extend(["--seconds".into(), RAW_SECONDS.into()]);
    lab.peers(args)?.get("ready_s")
}

/// Deployments of one replica, all at once.
fn many(lab: &Lab, shape: &Shape) -> Result<Vec<Sample>, String> {
    let (server, follower) = started(lab)?;
    let count = shape.deployments;
    let mut files = Vec::new();
    for maker in 0..MAKERS {
        let mut text = String::new();
        for number in (maker..count).step_by(MAKERS) {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "---\n{}",
                deployment(&format!("bench-{number}"), 1, "1")
            );
        }
        let path = server.data.path().join(format!("bench-{maker}.yaml"));
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        files.push(path);
    }
    let (began, before) = (Instant::now(), server.usage()?);
    let mut makers = Vec::new();
    for file in &files {
        let child = Command::new(&lab.wkube)
            .args(["create", "-f"])
            .arg(file)
            .env("KUBECONFIG", server.kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("wkube: {error}"))?;
        makers.push(Running(child));
    }
    let mut settled = HashSet::with_capacity(count);
    follower.until(|told| {
        if told.name.starts_with("bench-") && told.settled() {
            settled.insert(told.name.clone());
        }
        settled.len() == count
    })?;
    let took = began.elapsed().as_secs_f64();
    let cpu = server.usage()?.cpu_seconds - before.cpu_seconds;
    for mut maker in makers {
        let status = maker.0.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("wkube create: {status}"));
        }
    }
    let aim = if lab.quick {
        Aim::None
    } else {
        Aim::AtMost(DEPLOYMENTS_MAX)
    };
    let what = format!("{count} Deployments of one replica");
    Ok(vec![
        alone(&format!("{what}: to all Available"), "s", took, aim),
        alone(
            &format!("{what}: processor time each"),
            "µs",
            cpu * 1e6 / count as f64,
            Aim::None,
        ),
        at_rest(&what, rest(&server, shape)?, shape),
    ])
}

/// A Deployment of wasm-echo; another `template` is another revision.
fn deployment(name: &str, replicas: usize, template: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: \
         {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: \
         {{app: {name}}}, annotations: {{template: \"{template}\"}}}}\n    spec:\n      containers:\n      \
         - name: echo\n        image: gihyodocker/echo:latest\n        imagePullPolicy: IfNotPresent\n        \
         ports: [{{containerPort: 8080}}]\n"
    )
}
