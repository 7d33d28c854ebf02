//! Two guests that talk: over the virtual network, and over kernel sockets.

use super::Bench;
use super::figure::{Aim, Sample, beside};
use super::lab::Lab;
use super::server::Server;
use std::ffi::OsString;
use std::process::Command;

pub(super) const BENCH: Bench = Bench {
    name: "net",
    title: "two guests that talk",
    how: "Two pods of one server, and the same compiled code twice in one process of bare wasmtime \
          whose sockets are the kernel's. *One core*: the whole process is bound to one, so that \
          guests have one thread on both sides. A round trip is 64 bytes there and back; the \
          processor time is the process' for all of them. Bytes go in pieces of 64 KiB one way.",
    shortfall: "",
    run,
};

/// The image's name.
const IMAGE: &str = "bench/tool:latest";
/// Bytes of a round trip.
const ROUND: &str = "64";
/// Bytes of a piece.
const PIECE: usize = 65_536;

/// One conversation: the words of the two guests.
struct Talk {
    server: &'static str,
    client: &'static str,
    args: [String; 2],
}

fn run(lab: &Lab) -> Result<Vec<Sample>, String> {
    let (rounds, pieces) = if lab.quick {
        (60_000, 16_384)
    } else {
        // Less than 4 GiB: the guest counts in 32 bits.
        (400_000, 49_152)
    };
    let ping = Talk {
        server: "pong",
        client: "ping",
        args: [ROUND.to_owned(), rounds.to_string()],
    };
    let pour = Talk {
        server: "sink",
        client: "pour",
        args: [PIECE.to_string(), pieces.to_string()],
    };
    let mut samples = Vec::new();
    for (cores, name) in [(Some("0"), "one core"), (None, "all cores")] {
        let server = Server::start(lab, cores, &[])?;
        server.image(
            lab,
            IMAGE,
            &lab.root.join("tests/guests/prebuilt/tool-p2.wasm"),
        )?;
        let (pod, bare) = both(lab, &server, cores, &ping)?;
        let per_s = |seconds: f64| f64::from(rounds) / seconds;
        let each = |cpu: f64| cpu * 1e6 / f64::from(rounds);
        let bytes = |seconds: f64| PIECE as f64 * pieces as f64 / seconds / 1e9;
        let one = cores.is_some();
        samples.push(beside(
            &format!("processor time a round trip, {name}"),
            "µs",
            each(pod.cpu_s),
            ("kernel", each(bare.cpu_s)),
            if one {
                Aim::RatioAtMost(0.4)
            } else {
                Aim::None
            },
        ));
        samples.push(beside(
            &format!("round trips a second, {name}"),
            "/s",
            per_s(pod.seconds),
            ("kernel", per_s(bare.seconds)),
            Aim::None,
        ));
        let (pod, bare) = both(lab, &server, cores, &pour)?;
        samples.push(beside(
            &format!("bytes a second, {name}"),
            "GB/s",
            bytes(pod.seconds),
            ("kernel", bytes(bare.seconds)),
            if one {
                Aim::RatioAtLeast(2.0)
            } else {
                Aim::None
            },
        ));
    }
    Ok(samples)
}

/// What a conversation took.
struct Took {
    seconds: f64,
    cpu_s: f64,
}

fn both(
    lab: &Lab,
    server: &Server,
    cores: Option<&str>,
    talk: &Talk,
) -> Result<(Took, Took), String> {
    Ok((pods(lab, server, talk)?, bare(lab, server, cores, talk)?))
}

fn pods(lab: &Lab, server: &Server, talk: &Talk) -> Result<Took, String> {
    server.apply(lab, &manifest(talk.server, &[talk.server, "0.0.0.0:7000"]))?;
    let phase = "jsonpath={.status.phase}";
    server.until(lab, &["get", "pod", talk.server, "-o", phase], "Running")?;
    let address = server.wkube(
        lab,
        &["get", "pod", talk.server, "-o", "jsonpath={.status.podIP}"],
    )?;
    let to = format!("{}:7000", address.trim());
    let before = server.usage()?;
    let [first, second] = &talk.args;
    server.apply(
        lab,
        &manifest(talk.client, &[talk.client, &to, first, second]),
    )?;
    server.until(
        lab,
        &["get", "pod", talk.client, "-o", phase],
        "Running Succeeded",
    )?;
    let printed = server.wkube(lab, &["logs", "--follow", talk.client])?;
    let cpu_s = server.usage()?.cpu_seconds - before.cpu_seconds;
    let seconds = printed
        .lines()
        .find_map(|line| line.strip_prefix("seconds ")?.trim().parse().ok());
    Ok(Took {
        seconds: seconds.ok_or(format!("{} printed {printed:?}", talk.client))?,
        cpu_s,
    })
}

fn bare(lab: &Lab, server: &Server, cores: Option<&str>, talk: &Talk) -> Result<Took, String> {
    let mut args: Vec<OsString> = vec!["net".into(), server.only_code()?.into()];
    args.extend([talk.server, talk.client, "--"].map(OsString::from));
    args.extend(talk.args.iter().map(OsString::from));
    let found = match cores {
        None => lab.peers(args)?,
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores]).arg(&lab.peers).args(args);
            super::lab::findings(command)?
        }
    };
    Ok(Took {
        seconds: found.get("seconds")?,
        cpu_s: found.get("cpu_s")?,
    })
}

fn manifest(name: &str, args: &[&str]) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  restartPolicy: Never\n  \
         containers:\n  - name: guest\n    image: {IMAGE}\n    imagePullPolicy: IfNotPresent\n    \
         args: {args:?}\n"
    )
}
