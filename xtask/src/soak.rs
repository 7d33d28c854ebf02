//! `cargo xtask soak [NAME...] [--rounds N | --minutes N] [--seed N]`: the crash tests again and again,
//! each time with another seed. A seed that fails is printed and kept in tests/it/crash/seeds.txt,
//! which `cargo test` runs from then on.

use crate::cargo::cargo;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What can be soaked: the word, what it is, the test, and the rounds when none are asked for.
struct Soak {
    name: &'static str,
    test: &'static str,
    rounds: u64,
}

const SOAKS: &[Soak] = &[
    // A disk that loses its power at random moments, a few times a round.
    Soak {
        name: "power",
        test: "crash::store::what_was_acknowledged_survives_power_cuts",
        rounds: 2_000,
    },
    // The real binary killed fifty times a round while clients write.
    Soak {
        name: "kill",
        test: "crash::killed::nothing_acknowledged_is_lost_and_no_revision_comes_twice",
        rounds: 20,
    },
];

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
    build.args(["test", "--test", "it", "--no-run"]);
    if !succeeds(build.current_dir(root))? {
        return Err("the tests were not built".to_owned());
    }
    let mut failed = Vec::new();
    for soak in &options.chosen {
        let began = Instant::now();
        let share = options
            .minutes
            .map(|minutes| Duration::from_secs(60 * minutes));
        let rounds = options.rounds.unwrap_or(match share {
            Some(_) => u64::MAX,
            None => soak.rounds,
        });
        let mut done = 0;
        while done < rounds && share.is_none_or(|share| began.elapsed() < share) {
            let seed = options.seed.wrapping_add(done);
            let mut test = cargo();
            test.args([
                "test", "--quiet", "--test", "it", "--", "--exact", soak.test,
            ]);
            if !succeeds(test.current_dir(root).env(SEED, seed.to_string()))? {
                println!("soak {}: seed {seed} fails", soak.name);
                keep(root, soak, seed)?;
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
        "seeds that fail, kept in {KEPT}: {}",
        failed.join(", ")
    ))
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
