//! Calling cargo from a task that cargo itself runs.

use std::process::Command;

/// cargo, without what `cargo run` tells xtask about itself: build scripts that look at it would run
/// again, and half of the dependencies would be built anew.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let word = name.to_string_lossy();
        let ours = word.starts_with("CARGO_PKG_") || word.starts_with("CARGO_MANIFEST_");
        if ours || word == "LD_LIBRARY_PATH" {
            cargo.env_remove(&name);
        }
    }
    cargo
}
