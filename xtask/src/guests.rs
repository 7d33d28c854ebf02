//! `cargo xtask guests [--check]`: builds the example guests for wasm32-wasip2 and puts the files
//! where the product embeds them, or (`--check`) compares them with what is committed.
//!
//! The bytes must not depend on where the sources lie: paths are remapped, and each guest is
//! locked to its own Cargo.lock. They do depend on the compiler; the committed files are made
//! with the toolchain named in [`REFERENCE`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The guests: folder in `examples/` and the file that cargo makes of it.
const GUESTS: &[(&str, &str)] = &[
    ("wasm-echo", "wasm-echo.wasm"),
    ("wasm-http", "wasm_http.wasm"),
    ("wasm-nginx", "wasm-nginx.wasm"),
];

/// The target of the guests.
const TARGET: &str = "wasm32-wasip2";

/// The linked toolchain of machines on which rustup cannot fetch the target.
const LINKED: &str = "wkube-wasm";

/// What the committed files are built with, as `rustc --version` says it.
const REFERENCE: &str = "rustc 1.85.1";

/// The task as the list of tasks calls it.
pub fn task(args: &[String]) -> Result<(), String> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask guests [--check]".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    run(root.unwrap_or(Path::new(".")), check)
}

/// Builds all guests; with `check` compares instead of writing. The error is for a person.
fn run(root: &Path, check: bool) -> Result<(), String> {
    let toolchain = toolchain()?;
    let mut stale = Vec::new();
    for (name, file) in GUESTS {
        let folder = root.join("examples").join(name);
        let built = build(root, &folder, file, toolchain.as_deref())?;
        let prebuilt = folder.join("prebuilt").join(format!("{name}.wasm"));
        let bytes = std::fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
        let same = std::fs::read(&prebuilt).is_ok_and(|have| have == bytes);
        println!(
            "{name}: {} bytes{}",
            bytes.len(),
            if same { "" } else { ", changed" }
        );
        if !same && check {
            stale.push(*name);
        } else if !same {
            std::fs::write(&prebuilt, bytes).map_err(|e| format!("{}: {e}", prebuilt.display()))?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not what is committed: {}. Run `cargo xtask guests` with {REFERENCE} and commit the \
         files, or say why they differ (this was {}).",
        stale.join(", "),
        version(toolchain.as_deref()).unwrap_or_else(|| "an unknown rustc".to_owned())
    ))
}

/// The toolchain that can build guests: the linked one, whose output is the reference, else the
/// default one if it has the target (`None`).
fn toolchain() -> Result<Option<String>, String> {
    if version(Some(LINKED)).is_some() {
        return Ok(Some(LINKED.to_owned()));
    }
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]));
    let std = |root: String| {
        PathBuf::from(root)
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
    };
    if sysroot.map(std).is_some_and(|std| std.is_dir()) {
        return Ok(None);
    }
    Err(format!(
        "no toolchain here builds for {TARGET}: run `rustup target add {TARGET}`, or link one \
         that does as `{LINKED}` (rustup toolchain link {LINKED} FOLDER)."
    ))
}

fn version(toolchain: Option<&str>) -> Option<String> {
    let mut rustc = Command::new("rustc");
    rustc.args(toolchain.map(|name| format!("+{name}")));
    output(rustc.arg("--version").env_remove("RUSTUP_TOOLCHAIN"))
}

fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    Some(String::from_utf8(done.stdout).ok()?.trim().to_owned())
}

/// Builds one guest in a target folder apart from the user's own; answers the built file.
fn build(
    root: &Path,
    folder: &Path,
    file: &str,
    toolchain: Option<&str>,
) -> Result<PathBuf, String> {
    let target = root.join("target").join("guests");
    let mut cargo = Command::new("cargo");
    cargo.args(toolchain.map(|name| format!("+{name}")));
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        TARGET,
    ]);
    cargo.current_dir(folder);
    // What this task inherits from cargo would choose the compiler of wkube for the guests.
    for name in [
        "RUSTUP_TOOLCHAIN",
        "RUSTC",
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remaps(folder));
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("building {} failed", folder.display()));
    }
    Ok(target.join(TARGET).join("release").join(file))
}

/// Flags that take this machine's folders out of the output.
fn remaps(folder: &Path) -> OsString {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
    let mut flags = OsString::new();
    for (from, to) in [(folder, "/guest"), (cargo_home.as_path(), "/cargo")] {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}
