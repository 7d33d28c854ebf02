//! How long a server takes from exec until it is of use.

use super::Bench;
use super::figure::{Aim, Sample, alone, beside, median};
use super::lab::{Lab, free_port};
use std::ffi::OsString;
use std::path::Path;

pub(super) const BENCH: Bench = Bench {
    name: "start",
    title: "from exec to ready",
    how: "`wkube serve` from before the exec to the first 200 of `/readyz` over TLS, asked every \
          200 µs on a new connection; Debian's etcd, which is only the store of a Kubernetes, from \
          before the exec to the first `/health` that says so, over plain HTTP. A run is the median \
          of 15 starts. *New* is an empty data directory: wkube makes its authority and keys in it.",
    shortfall: "",
    run,
};

/// Starts of which one run is the median.
const STARTS: usize = 15;
const STARTS_QUICK: usize = 5;

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let etcd = lab.debian("etcd-server", "usr/bin/etcd")?;
    let starts = if lab.quick { STARTS_QUICK } else { STARTS };
    let mut found: [Vec<f64>; 5] = Default::default();
    for _ in 0..starts {
        let [ephemeral, new, again, etcd_new, etcd_again] = &mut found;
        ephemeral.push(wkube(lab, None)?);
        let folder = lab.folder("wkube")?;
        new.push(wkube(lab, Some(folder.path()))?);
        again.push(wkube(lab, Some(folder.path()))?);
        let folder = lab.folder("etcd")?;
        etcd_new.push(etcd_start(lab, &etcd, folder.path())?);
        etcd_again.push(etcd_start(lab, &etcd, folder.path())?);
    }
    let [ephemeral, new, again, etcd_new, etcd_again] = found.map(|values| median(&values));
    let aim = Aim::AtMost(50.0);
    Ok(vec![
        alone("ephemeral", "ms", ephemeral, aim),
        beside("durable, new", "ms", new, ("etcd", etcd_new), aim),
        beside("durable, again", "ms", again, ("etcd", etcd_again), aim),
    ])
}

fn wkube(lab: &Lab, data: Option<&Path>) -> Result<f64, String> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut args: Vec<OsString> = Vec::new();
    args.extend(["start", "--url"].map(OsString::from));
    args.push(format!("https://{address}/readyz").into());
    args.push("--".into());
    args.push(lab.wkube.clone().into());
    args.extend(["serve", "--listen", &address].map(OsString::from));
    match data {
        Some(folder) => args.extend(["--data-dir".into(), folder.into()]),
        None => args.push("--ephemeral".into()),
    }
    lab.peers(args)?.get("ready_ms")
}

fn etcd_start(lab: &Lab, etcd: &Path, data: &Path) -> Result<f64, String> {
    let client = format!("http://127.0.0.1:{}", free_port()?);
    let peer = format!("http://127.0.0.1:{}", free_port()?);
    let mut args: Vec<OsString> = Vec::new();
    args.extend(["start", "--url"].map(OsString::from));
    args.push(format!("{client}/health").into());
    args.push("--".into());
    args.push(etcd.into());
    args.extend(["--data-dir".into(), data.into()]);
    let cluster = format!("default={peer}");
    let named = [
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
        ("--initial-cluster", &cluster),
    ];
    for (name, value) in named {
        args.extend([OsString::from(name), OsString::from(value)]);
    }
    lab.peers(args)?.get("ready_ms")
}
