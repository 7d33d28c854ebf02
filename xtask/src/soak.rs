//! `cargo xtask soak [NAME...] [--rounds N | --minutes N] [--seed N]`: the crash tests again and again,
//! each time with another seed, and the properties of what reads bytes of strangers with many more
//! cases than `cargo test` takes. A seed that fails is printed and kept in tests/it/crash/seeds.txt,
//! which `cargo test` runs from then on; a case that fails is kept by proptest beside the test.

use crate::cargo::cargo;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What can be soaked.
struct Soak {
    /// The word on the command line.
    name: &'static str,
    what: What,
    /// How much of it when nothing is asked for.
    enough: Enough,
}

/// Which tests run a round.
enum What {
    /// One integration test, with a seed.
    Seeded(&'static str),
    /// The properties of these modules.
    Properties(&'static [&'static str]),
}

/// When it is enough.
#[derive(Clone, Copy)]
enum Enough {
    Rounds(u64),
    Minutes(u64),
}

const SOAKS: &[Soak] = &[
    // A disk that loses its power at random moments, a few times a round.
    Soak {
        name: "power",
        what: What::Seeded("crash::store::what_was_acknowledged_survives_power_cuts"),
        enough: Enough::Rounds(2_000),
    },
    // The real binary killed fifty times a round while clients write.
    Soak {
        name: "kill",
        what: What::Seeded(
            "crash::killed::nothing_acknowledged_is_lost_and_no_revision_comes_twice",
        ),
        enough: Enough::Rounds(20),
    },
    properties("patches", &["meta::patch::"]),
    properties("apply", &["meta::apply::"]),
    properties("cel", &["meta::cel::"]),
    properties(
        "selectors",
        &["meta::labels::", "meta::fields::", "meta::options::"],
    ),
    properties("yaml", &["meta::yaml::"]),
    properties("json", &["api::codec::", "meta::go_json::"]),
    properties("protobuf", &["meta::protobuf::"]),
    properties("paths", &["api::request_info::", "meta::jsonpath::"]),
    properties("streams", &["stdx::spdy::"]),
];

const fn properties(name: &'static str, modules: &'static [&'static str]) -> Soak {
    Soak {
        name,
        what: What::Properties(modules),
        enough: Enough::Minutes(1),
    }
}

/// Cases of each property in a round.
const CASES: &str = "5000";
/// The variable by which proptest learns them.
const CASES_NAME: &str = "PROPTEST_CASES";
/// The variable by which the tests learn the seed.
const SEED: &str = "WKUBE_SOAK_SEED";
/// Seeds that failed once, for `cargo test`.
const KEPT: &str = "tests/it/crash/seeds.txt";

struct Options {
    chosen: Vec<&'static Soak>,
    rounds: Option<u64>,
    minutes: Option<u64>,
    seed: u64,
}

pub(crate) fn task(args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.ok_or("no folder above xtask")?;
    let mut build = cargo();
    build.args(["test", "--lib", "--test", "it", "--no-run"]);
    if !succeeds(build.current_dir(root))? {
        return Err("the tests were not built".to_owned());
    }
    let mut failed = Vec::new();
    for soak in &options.chosen {
        let began = Instant::now();
        let enough = match (options.rounds, options.minutes) {
            (Some(rounds), _) => Enough::Rounds(rounds),
            (None, Some(minutes)) => Enough::Minutes(minutes),
            (None, None) => soak.enough,
        };
        let mut done = 0;
        while match enough {
            Enough::Rounds(rounds) => done < rounds,
            Enough::Minutes(minutes) => began.elapsed() < Duration::from_secs(60 * minutes),
        } {
            let seed = options.seed.wrapping_add(done);
            if !succeeds(round(&soak.what, seed).current_dir(root))? {
                println!("soak {}: seed {seed} fails", soak.name);
                if let What::Seeded(_) = soak.what {
                    keep(root, soak, seed)?;
                }
                failed.push(format!("{} {seed}", soak.name));
                break;
            }
            done += 1;
        }
        println!(
            "soak {}: {done} rounds from seed {} hold, {:.0} s",
            soak.name,
            options.seed,
            began.elapsed().as_secs_f64()
        );
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "seeds that fail, kept in {KEPT} or by proptest: {}",
        failed.join(", ")
    ))
}

/// The command of one round.
fn round(what: &What, seed: u64) -> Command {
    let mut test = cargo();
    match what {
        What::Seeded(name) => {
            test.args(["test", "--quiet", "--test", "it", "--", "--exact", name]);
            test.env(SEED, seed.to_string());
        }
        What::Properties(modules) => {
            test.args(["test", "--quiet", "--lib", "--"]).args(*modules);
            test.env(CASES_NAME, CASES);
        }
    }
    test
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        chosen: Vec::new(),
        rounds: None,
        minutes: None,
        // Different each time, and printed. A seed fits 32 bits, to be typed again.
        seed: RandomState::new().hash_one(std::process::id()) & 0xffff_ffff,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.parse::<u64>().ok());
            value.ok_or(format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--rounds" => options.rounds = Some(number()?),
            "--minutes" => options.minutes = Some(number()?),
            "--seed" => options.seed = number()?,
            name => {
                let soak = SOAKS.iter().find(|soak| soak.name == name);
                let names: Vec<&str> = SOAKS.iter().map(|soak| soak.name).collect();
                options.chosen.push(soak.ok_or(format!(
                    "nothing to soak is called {name:?}; there are: {}",
                    names.join(", ")
                ))?);
            }
        }
    }
    if options.chosen.is_empty() {
        options.chosen = SOAKS.iter().collect();
    }
    Ok(options)
}

fn succeeds(command: &mut Command) -> Result<bool, String> {
    let status = command
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    Ok(status.success())
}

fn keep(root: &Path, soak: &Soak, seed: u64) -> Result<(), String> {
    let path = root.join(KEPT);
    let file = std::fs::OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{} {seed}", soak.name))
        .map_err(|error| format!("{}: {error}", path.display()))
}
