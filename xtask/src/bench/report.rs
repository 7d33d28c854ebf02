//! docs/benchmarks.md: a head that is always the same, and one section a measurement between marks,
//! so that one measurement made anew leaves the others' figures alone.

use super::figure::{Aim, Figure, median};
use super::lab::Lab;
use super::{BENCHES, Bench, Options, machine};
use std::fmt::Write as _;

const HEAD: &str = "\
# Measurements

Written by `cargo xtask bench`; what stands under *Why* is kept by hand in `xtask/src/bench/`. Every
figure is the median of the runs, with the smallest and the largest in brackets. The peer is measured
in the same run on the same machine. `wkube : peer` divides the one by the other.

All of it is one command and needs no attention; with three runs it takes about an hour, half of which
is the idle server being watched (`--idle-minutes 10`). `--quick` makes one short run and writes
nothing. Names choose measurements: `cargo xtask bench start pod`.
";

/// The section of one measurement.
pub(super) fn section(bench: &Bench, figures: &[Figure], options: &Options, load: &str) -> String {
    let mut text = format!("## {}: {}\n\n{}\n\n", bench.name, bench.title, bench.how);
    let command = format!("cargo xtask bench {} --runs {}", bench.name, options.runs);
    let _ = writeln!(
        text,
        "`{command}` on {}, revision {}; {}; load before it: {load}.\n",
        machine::date(),
        machine::revision(),
        machine::describe()
    );
    text.push_str(
        "| what | wkube | peer | wkube : peer | aim | met |\n|---|---|---|---|---|---|\n",
    );
    for figure in figures {
        let unit = figure.unit;
        let peer = figure
            .peer
            .as_ref()
            .map_or(String::new(), |(name, values)| {
                format!("{name}: {}", spread(values, unit))
            });
        let ratio = figure.ratio().map_or(String::new(), number);
        let met = match figure.met() {
            None => "",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {peer} | {ratio} | {} | {met} |",
            figure.what,
            spread(&figure.ours, unit),
            aim(figure.aim, unit)
        );
    }
    if !bench.shortfall.is_empty() {
        let _ = writeln!(text, "\n*Why:* {}", bench.shortfall);
    }
    text
}

fn aim(aim: Aim, unit: &str) -> String {
    match aim {
        Aim::None => String::new(),
        Aim::AtMost(limit) => format!("at most {} {unit}", number(limit)),
        Aim::AtLeast(limit) => format!("at least {} {unit}", number(limit)),
        Aim::RatioAtMost(limit) => format!("at most {} of the peer", number(limit)),
        Aim::RatioAtLeast(limit) => format!("at least {} of the peer", number(limit)),
    }
}

fn spread(values: &[f64], unit: &str) -> String {
    let middle = number(median(values));
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() < 2 {
        return format!("{middle} {unit}");
    }
    format!("{middle} {unit} ({}..{})", number(least), number(most))
}

/// Three digits that count, with commas between thousands.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- bench {name} -->\n"),
        format!("<!-- end {name} -->\n"),
    )
}

/// Writes the sections into the file; those of other measurements stay as they are.
pub(super) fn write(lab: &Lab, sections: &[(&str, String)]) -> Result<(), String> {
    let path = lab.root.join("docs/benchmarks.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut text = HEAD.to_owned();
    for bench in BENCHES {
        let (open, close) = marks(bench.name);
        let made = sections.iter().find(|(name, _)| *name == bench.name);
        let kept = || {
            let (_, rest) = old.split_once(&open)?;
            Some(rest.split_once(&close)?.0.to_owned())
        };
        if let Some(section) = made.map(|(_, text)| text.clone()).or_else(kept) {
            let _ = write!(text, "\n{open}{section}{close}");
        }
    }
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}
