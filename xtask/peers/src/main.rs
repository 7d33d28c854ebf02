//! What `cargo xtask bench` measures wkube against, and what drives both while they are measured: a
//! program of its own, so that neither wkube nor xtask links what only a measurement needs.
//!
//! Prints its findings as lines `NAME VALUE` on standard output. One file a subcommand.

#![allow(
    clippy::disallowed_methods,
    reason = "measuring is about the machine's own clock"
)]

mod api;
mod args;
mod client;
mod embed;
mod etcd;
mod follow;
mod handler;
mod load;
mod metrics;
mod net;
mod pods;
mod process;
mod sched;
mod start;
mod trust;
mod updates;

use args::Args;
use std::process::ExitCode;

/// Why a measurement could not be made.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A subcommand: its name, what it is for, and what runs.
type Command = (&'static str, &'static str, fn(&Args) -> Result<(), Failure>);

const COMMANDS: &[Command] = &[
    (
        "start",
        "--url URL -- COMMAND...: from exec to the first 200 of URL",
        start::command,
    ),
    (
        "pod",
        "--kubeconfig FILE --count N: one pod after the other, from request to Ready",
        pods::one_at_a_time,
    ),
    (
        "pods",
        "--kubeconfig FILE --count N --seconds N: many pods, to all Ready",
        pods::many,
    ),
    (
        "sched",
        "--kubeconfig FILE --nodes N --pods N --shape SHAPE --seconds N: until all are bound",
        sched::command,
    ),
    (
        "ask",
        "--kubeconfig FILE --count N: one request to each of the pods",
        pods::ask,
    ),
    (
        "run",
        "CODE -- ARGS...: a component as a process of its own, on kernel sockets",
        process::command,
    ),
    (
        "processes",
        "CODE --count N -- ARGS...: one such process after the other, to its first line",
        process::many,
    ),
    (
        "touched",
        "CODE -- ARGS...: the linear memory that such a guest holds when it waits",
        process::touched,
    ),
    (
        "http",
        "CODE --port N: a wasi:http component under bare wasmtime and hyper",
        handler::command,
    ),
    (
        "load",
        "--address ADDRESS --seconds N: requests, as many as are answered",
        load::command,
    ),
    (
        "net",
        "CODE SERVER CLIENT -- ARGS...: two guests that talk over kernel sockets",
        net::command,
    ),
    (
        "updates",
        "--kubeconfig FILE --count N: one object changed again and again",
        updates::command,
    ),
    (
        "api",
        "--kubeconfig FILE --seconds N: ConfigMaps made, then read, as many as are answered",
        api::command,
    ),
    (
        "etcd",
        "--address ADDRESS --seconds N: keys of etcd put, then read",
        api::etcd,
    ),
    (
        "certificate",
        "--folder FOLDER: what etcd shows to its clients",
        etcd::certificate,
    ),
    (
        "list",
        "--kubeconfig FILE --count N: a list of as many pods",
        follow::list,
    ),
    (
        "watchers",
        "--kubeconfig FILE --count N --writes N --every-ms N: how late changes are told",
        follow::watchers,
    ),
    (
        "metric",
        "NAME --kubeconfig FILE: the sum of a metric's values",
        metrics::command,
    ),
];

fn main() -> ExitCode {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let name = all.first().map(String::as_str).unwrap_or_default();
    let Some((_, _, run)) = COMMANDS.iter().find(|(command, ..)| *command == name) else {
        eprintln!("usage: wkube-peers COMMAND");
        for (command, what, _) in COMMANDS {
            eprintln!("  {command:<11} {what}");
        }
        return ExitCode::from(2);
    };
    let run = Args::parse(all.get(1..).unwrap_or_default()).and_then(|args| run(&args));
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wkube-peers {name}: {why}");
            ExitCode::FAILURE
        }
    }
}
