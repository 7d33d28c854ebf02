//! `cargo xtask guests [--check]`: builds the guests of the examples and the tests and puts the
//! files where they are embedded, or (`--check`) compares them with what is committed.
//!
//! The bytes must not depend on where the sources lie: paths are remapped, and each guest is
//! locked to its own Cargo.lock. They do depend on the compiler; the committed files are made
//! with the toolchain named in [`REFERENCE`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A guest: where its package lies, what cargo makes of it for which target, and where that goes.
struct Guest {
    folder: &'static str,
    target: &'static str,
    built: &'static str,
    prebuilt: &'static str,
}

/// WASI 0.2.
const P2: &str = "wasm32-wasip2";
/// WASI preview 1.
const P1: &str = "wasm32-wasip1";

/// All guests that are committed.
const GUESTS: &[Guest] = &[
    guest(
        "examples/wasm-echo",
        P2,
        "wasm-echo.wasm",
        "examples/wasm-echo/prebuilt/wasm-echo.wasm",
    ),
    guest(
        "examples/wasm-http",
        P2,
        "wasm_http.wasm",
        "examples/wasm-http/prebuilt/wasm-http.wasm",
    ),
    guest(
        "examples/wasm-nginx",
        P2,
        "wasm-nginx.wasm",
        "examples/wasm-nginx/prebuilt/wasm-nginx.wasm",
    ),
    guest(
        "tests/guests/http",
        P2,
        "http.wasm",
        "tests/guests/prebuilt/http.wasm",
    ),
    guest(
        "tests/guests/tool",
        P2,
        "tool.wasm",
        "tests/guests/prebuilt/tool-p2.wasm",
    ),
    guest(
        "tests/guests/tool",
        P1,
        "tool.wasm",
        "tests/guests/prebuilt/tool-p1.wasm",
    ),
];

const fn guest(
    folder: &'static str,
    target: &'static str,
    built: &'static str,
    prebuilt: &'static str,
) -> Guest {
    Guest {
        folder,
        target,
        built,
        prebuilt,
    }
}

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
    for guest in GUESTS {
        let built = build(root, guest, toolchain.as_deref())?;
        let prebuilt = root.join(guest.prebuilt);
        let bytes = std::fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
        let same = std::fs::read(&prebuilt).is_ok_and(|have| have == bytes);
        let changed = if same { "" } else { ", changed" };
        println!("{}: {} bytes{changed}", guest.prebuilt, bytes.len());
        if !same && check {
            stale.push(guest.prebuilt);
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
    let std = |root: String| PathBuf::from(root).join("lib/rustlib").join(P2).join("lib");
    if sysroot.map(std).is_some_and(|std| std.is_dir()) {
        return Ok(None);
    }
    Err(format!(
        "no toolchain here builds for {P2}: run `rustup target add {P2} {P1}`, or link one \
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
fn build(root: &Path, guest: &Guest, toolchain: Option<&str>) -> Result<PathBuf, String> {
    let folder = root.join(guest.folder);
    let target = root.join("target").join("guests");
    let mut cargo = Command::new("cargo");
    cargo.args(toolchain.map(|name| format!("+{name}")));
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        guest.target,
    ]);
    cargo.current_dir(&folder);
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
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remaps(&folder));
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("building {} failed", folder.display()));
    }
    Ok(target.join(guest.target).join("release").join(guest.built))
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
