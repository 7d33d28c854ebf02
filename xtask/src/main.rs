//! Tasks of the project that are no part of the product: `cargo xtask TASK`. One file a task, one
//! line in `TASKS`.

mod bench;
mod cargo;
mod guests;
mod soak;

use std::process::ExitCode;

/// A task: its name, what it is for, and what runs.
type Task = (
    &'static str,
    &'static str,
    fn(&[String]) -> Result<(), String>,
);

const TASKS: &[Task] = &[
    (
        "bench",
        "measure against the peers, into docs/benchmarks.md; --quick only shows",
        bench::task,
    ),
    (
        "guests",
        "build the guests of the examples and the tests; --check compares",
        guests::task,
    ),
    (
        "soak",
        "the crash tests for long, each round with another seed",
        soak::task,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map(String::as_str).unwrap_or_default();
    let Some((_, _, run)) = TASKS.iter().find(|(task, ..)| *task == name) else {
        eprintln!("usage: cargo xtask TASK");
        for (task, what, _) in TASKS {
            eprintln!("  {task:<10} {what}");
        }
        return ExitCode::from(2);
    };
    match run(args.get(1..).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {name}: {why}");
            ExitCode::FAILURE
        }
    }
}
