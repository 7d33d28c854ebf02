//! `cargo xtask bench [NAME...] [--runs N] [--quick] [--idle-minutes N]`: measures wkube against its
//! peers, in the same run on the same machine, and writes docs/benchmarks.md. One file a
//! measurement and one line in `BENCHES`. No test asserts a time; this is where times live.
//!
//! Links nothing: what needs a crate is in the program `wkube-peers` (`xtask/peers`).

mod api;
mod figure;
mod follow;
mod http;
mod idle;
mod lab;
mod machine;
mod net;
mod pod;
mod probes;
mod report;
mod scale;
mod sched;
mod server;
mod start;
mod workloads;

use figure::{Figure, Sample};
use lab::Lab;

/// One measurement.
struct Bench {
    /// The word on the command line.
    name: &'static str,
    /// The heading of its section.
    title: &'static str,
    /// How it is measured, for the reader of the figures.
    how: &'static str,
    /// By hand: why a figure falls short of its aim, and what would mend it.
    shortfall: &'static str,
    /// One run. Every run answers with the same samples in the same order.
    run: fn(&Lab) -> Result<Vec<Sample>, String>,
}

/// All measurements, in the order in which they are made and written.
const BENCHES: &[Bench] = &[
    start::BENCH,
    pod::BENCH,
    scale::BENCH,
    sched::BENCH,
    workloads::BENCH,
    probes::BENCH,
    http::BENCH,
    net::BENCH,
    api::BENCH,
    idle::BENCH,
];

/// What was asked for.
struct Options {
    chosen: Vec<&'static Bench>,
    runs: usize,
    quick: bool,
    idle_minutes: u64,
}

pub(crate) fn task(args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    let mut lab = Lab::open(options.quick, options.idle_minutes)?;
    let mut sections = Vec::new();
    for bench in &options.chosen {
        let load = machine::load();
        let mut figures: Vec<Figure> = Vec::new();
        for run in 0..options.runs {
            eprintln!("bench {}: run {} of {}", bench.name, run + 1, options.runs);
            lab.run = run;
            let samples = (bench.run)(&lab).map_err(|why| format!("{}: {why}", bench.name))?;
            figure::add(&mut figures, samples);
        }
        let section = report::section(bench, &figures, &options, &load);
        println!("{section}");
        sections.push((bench.name, section));
        // As they come, so that a later failure loses nothing.
        if !options.quick {
            report::write(&lab, &sections)?;
        }
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        chosen: Vec::new(),
        runs: 0,
        quick: false,
        idle_minutes: 0,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.parse().ok());
            value
                .filter(|n| *n > 0)
                .ok_or(format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--runs" => options.runs = usize::try_from(number()?).unwrap_or(1),
            "--idle-minutes" => options.idle_minutes = number()?,
            "--quick" => options.quick = true,
            name => {
                let bench = BENCHES.iter().find(|bench| bench.name == name);
                let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
                options.chosen.push(bench.ok_or(format!(
                    "no measurement {name:?}; there are: {}",
                    names.join(", ")
                ))?);
            }
        }
    }
    if options.chosen.is_empty() {
        options.chosen = BENCHES.iter().collect();
    }
    if options.runs == 0 {
        options.runs = if options.quick { 1 } else { 3 };
    }
    if options.idle_minutes == 0 {
        options.idle_minutes = if options.quick { 1 } else { 10 };
    }
    Ok(options)
}
