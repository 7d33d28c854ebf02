//! `cargo xtask soak [NAME...] [--rounds N | --minutes N] [--seed N]`: the crash tests again and again,
//! each time with another seed, and the properties of what reads bytes of strangers with many more
//! cases than `cargo test` takes, and the targets of fuzz/ by cargo-fuzz. A seed that fails is printed
//! and kept in tests/it/crash/seeds.txt, which `cargo test` runs from then on; a case that fails is
//! kept by proptest beside the test, an input by cargo-fuzz in fuzz/artifacts/.

use crate::cargo::cargo;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
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
    /// A target of fuzz/, which a round runs for a minute.
    Fuzz(&'static str),
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
    // A cluster in virtual time, whose writes fail and whose controllers die.
    Soak {
        name: "cluster",
        what: What::Seeded("sim::a_cluster_with_faults_keeps_its_promises"),
        enough: Enough::Rounds(1_000),
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
    fuzz("patches", "patch_json"),
    fuzz("patches", "patch_merge"),
    fuzz("patches", "patch_strategic"),
    fuzz("apply", "apply_merge"),
    fuzz("cel", "cel"),
    fuzz("cel", "go_regex"),
    fuzz("selectors", "selectors"),
    fuzz("yaml", "yaml"),
    fuzz("json", "json"),
    fuzz("protobuf", "protobuf"),
    fuzz("paths", "paths"),
    fuzz("paths", "jsonpath"),
    fuzz("streams", "spdy"),
    fuzz("objects", "objects"),
    fuzz("objects", "scalars"),
];

/// The word that chooses all targets of fuzz/.
const ALL_FUZZ: &str = "fuzz";

const fn fuzz(name: &'static str, target: &'static str) -> Soak {
    Soak {
        name,
        what: What::Fuzz(target),
        enough: Enough::Minutes(1),
    }
}

const fn properties(name: &'static str, modules: &'static [&'static str]) -> Soak {
    Soak {
        name,
        what: What::Properties(modules),
        enough: Enough::Minutes(1),
    }
}

impl Soak {
    /// What is told of it: the word, or the target.
    fn title(&self) -> String {
        match self.what {
            What::Fuzz(target) => format!("fuzz/{target}"),
            What::Seeded(_) | What::Properties(_) => self.name.to_owned(),
        }
    }

    /// Whether a word on the command line means it.
    fn is_meant_by(&self, word: &str) -> bool {
        match self.what {
            What::Fuzz(target) => [self.name, target, ALL_FUZZ].contains(&word),
            What::Seeded(_) | What::Properties(_) => self.name == word,
        }
    }
}

/// Seconds of a round of a fuzz target.
const FUZZ_SECONDS: u64 = 60;
/// What libFuzzer is told: bytes of the longest input, seconds that one may take, megabytes.
const FUZZ_LIMITS: [&str; 3] = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048"];
/// Where cargo-fuzz leaves the inputs that fail.
const ARTIFACTS: &str = "fuzz/artifacts";

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
    build(&options.chosen, root)?;
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
                match soak.what {
                    What::Fuzz(target) => {
                        let input = newest(&root.join(ARTIFACTS).join(target));
                        println!("soak {}: fails on {input}", soak.title());
                        failed.push(input);
                    }
                    What::Seeded(_) | What::Properties(_) => {
                        println!("soak {}: seed {seed} fails", soak.name);
                        failed.push(format!("{} {seed}", soak.name));
                    }
                }
                if let What::Seeded(_) = soak.what {
                    keep(root, soak, seed)?;
                }
                break;
            }
            done += 1;
        }
        println!(
            "soak {}: {done} rounds from seed {} hold, {:.0} s",
            soak.title(),
            options.seed,
            began.elapsed().as_secs_f64()
        );
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "what fails, kept in {KEPT}, by proptest or in {ARTIFACTS}: {}",
        failed.join(", ")
    ))
}

/// Builds what is chosen.
fn build(chosen: &[&Soak], root: &Path) -> Result<(), String> {
    let is_fuzz = |soak: &&Soak| matches!(soak.what, What::Fuzz(_));
    if !chosen.iter().all(is_fuzz) {
        let mut build = cargo();
        build.args(["test", "--lib", "--test", "it", "--no-run"]);
        if !succeeds(build.current_dir(root))? {
            return Err("the tests were not built".to_owned());
        }
    }
    if chosen.iter().any(is_fuzz) {
        let mut asked = cargo();
        asked.args(["fuzz", "--version"]).stderr(Stdio::null());
        if !succeeds(&mut asked)? {
            return Err(
                "the targets of fuzz/ need cargo-fuzz: cargo install cargo-fuzz --locked"
                    .to_owned(),
            );
        }
        let mut build = cargo();
        // The code has no memory of its own to corrupt; without a sanitizer stable Rust builds it.
        build.args(["fuzz", "build", "--sanitizer", "none"]);
        if !succeeds(build.current_dir(root))? {
            return Err("the targets of fuzz/ were not built".to_owned());
        }
    }
    Ok(())
}

/// The file that was written last into a folder.
fn newest(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let newest = files.max_by_key(|file| file.metadata().and_then(|about| about.modified()).ok());
    newest.map_or_else(
        || format!("{} (nothing was kept)", folder.display()),
        |file| file.path().display().to_string(),
    )
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
        What::Fuzz(target) => {
            test.args(["fuzz", "run", "--sanitizer", "none", target, "--"]);
            test.args(FUZZ_LIMITS);
            test.arg(format!("-max_total_time={FUZZ_SECONDS}"));
            // 0 would be a seed of libFuzzer's own choice.
            test.arg(format!("-seed={}", (seed & 0xffff_ffff).max(1)));
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
                let meant = SOAKS.iter().filter(|soak| soak.is_meant_by(name));
                let before = options.chosen.len();
                options.chosen.extend(meant);
                if options.chosen.len() == before {
                    let mut names: Vec<String> = SOAKS.iter().map(Soak::title).collect();
                    names.push(ALL_FUZZ.to_owned());
                    return Err(format!(
                        "nothing to soak is called {name:?}; there are: {}",
                        names.join(", ")
                    ));
                }
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
