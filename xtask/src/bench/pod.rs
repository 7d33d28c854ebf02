//! How long one pod takes from the request to Ready.

use super::Bench;
use super::figure::{Aim, Sample, beside};
use super::lab::Lab;
use super::server::Server;
use std::ffi::OsString;

pub(super) const BENCH: Bench = Bench {
    name: "pod",
    title: "one pod, from the request to Ready",
    how: "A durable `wkube serve`; a client over TLS makes a pod of wasm-echo, whose image is there \
          and compiled, and waits for the watch event with Ready=True; the pod is deleted and gone \
          before the next. The peer starts the same compiled code as a process of its own: bare \
          wasmtime with the same engine settings on one thread, from before the exec to the first \
          line that the guest writes, when it listens. 200 each in a run.",
    shortfall: "Three durable writes stand between the request and Ready, one after the other: the pod, \
                its binding, its status; the journal of the node is synced beside the last. A process \
                waits for no disk. They are the promise that nothing acknowledged is lost, so what is \
                left to mend is the processor time around each write, which a busy machine multiplies.",
    run,
};

/// Pods and processes of one run.
const COUNT: usize = 200;
const COUNT_QUICK: usize = 30;

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let count = if lab.quick { COUNT_QUICK } else { COUNT };
    let server = Server::start(lab, None, &[])?;
    let pods = lab.peers([
        OsString::from("pod"),
        "--kubeconfig".into(),
        server.kubeconfig().into(),
        "--count".into(),
        count.to_string().into(),
    ])?;
    let code = server.only_code()?;
    let processes = lab.peers([
        OsString::from("processes"),
        code.into(),
        "--count".into(),
        count.to_string().into(),
        "--".into(),
        "--port".into(),
        "0".into(),
    ])?;
    let both = |name: &str| Ok::<_, String>((pods.get(name)?, processes.get(name)?));
    let (p50, process_p50) = both("p50_ms")?;
    let (p99, process_p99) = both("p99_ms")?;
    let peer = "a process";
    Ok(vec![
        beside("p50", "ms", p50, (peer, process_p50), Aim::RatioAtMost(1.0)),
        beside("p99", "ms", p99, (peer, process_p99), Aim::None),
    ])
}
