//! `wkube serve` as a user has it: what it says, how it stops, what its flags do. The real binary,
//! mostly with the mock runtime.

mod access;
mod figures;
mod guests;
mod identity;
mod nodes;
mod owners;
mod stops;

use crate::server::{Serve, WKUBE};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// A `serve --ephemeral`.
fn start(args: &[&str]) -> Serve {
    Serve::start(&[&["--ephemeral"], args].concat())
}

/// Runs `serve` with a command and answers how it went.
fn run(args: &[&str]) -> Output {
    Command::new(WKUBE)
        .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
}
