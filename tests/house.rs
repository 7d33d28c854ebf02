//! The laws of the house (ARCHITECTURE.md), read off the sources. Links nothing and runs in
//! milliseconds: it reads text, not syntax, and that is enough for a team that wants the laws.

#![allow(
    clippy::unwrap_used,
    reason = "a test says what went wrong by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms in reading order, each with the rooms it may use. `stdx` is open to all.
const ROOMS: &[(&str, &[&str])] = &[
    ("stdx", &[]),
    ("meta", &[]),
    ("resources", &["meta"]),
    ("store", &[]),
    ("oci", &[]),
    ("net", &[]),
    ("client", &["meta", "resources"]),
    ("wasm_runtime", &["net"]),
    ("api", &["meta", "resources", "store"]),
    ("controllers", &["client", "resources", "meta"]),
    ("sched", &["client", "resources", "meta"]),
    (
        "kubelet",
        &["client", "resources", "meta", "wasm_runtime", "oci", "net"],
    ),
    (
        "serve",
        &[
            "meta",
            "resources",
            "store",
            "oci",
            "net",
            "client",
            "wasm_runtime",
            "api",
            "controllers",
            "sched",
            "kubelet",
        ],
    ),
    ("cli", &["client", "resources", "meta", "oci", "serve"]),
];

/// Lines of a file, inline tests left out, over which it is to be split by concept.
const FILE_LINES_MAX: usize = 800;

/// Words that do not stand in the sources, where they may, and what to use instead. What clippy
/// denies by lint is not repeated here.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "println!",
        &["cli", "serve"],
        "only the command line prints; use tracing",
    ),
    (
        "eprintln!",
        &["cli", "serve"],
        "only the command line prints; use tracing",
    ),
    (
        "std::sync::Mutex",
        &[],
        "parking_lot::Mutex has no poison to unwrap",
    ),
    (
        "std::sync::RwLock",
        &[],
        "parking_lot::RwLock has no poison to unwrap",
    ),
    ("FIXME", &[], "an issue, or a line in docs/compatibility.md"),
    ("XXX", &[], "an issue, or a line in docs/compatibility.md"),
    ("#[ignore", &[], "a test runs or does not exist"),
    (
        "unbounded_channel",
        &[],
        "every queue has a limit, and the limit has a name",
    ),
    (
        "mpsc::channel()",
        &[],
        "every queue has a limit, and the limit has a name",
    ),
];

/// Rooms that compute and do nothing else.
const PURE_ROOMS: &[&str] = &["meta", "resources"];

/// What a pure room does not touch.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "tokio::",
    "std::thread",
    "std::process",
    "std::env",
    "Clock",
];

fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// All sources below `folder`, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The room a source stands in; `None` for lib.rs and main.rs.
fn room_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let mut parts = below.components();
    let first = parts.next()?.as_os_str().to_str()?.to_owned();
    parts.next().map(|_| first)
}

/// Whether the file holds only tests.
fn is_test_file(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    name == "tests.rs" || path.components().any(|c| c.as_os_str() == "tests")
}

/// The text before the inline test module.
fn without_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod ") {
        Some(at) => &text[..at],
        None => text,
    }
}

/// Lines that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Names of rooms that a line reaches by `crate::`.
fn rooms_named(line: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let inside = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or(list),
            None => rest,
        };
        let heads = if rest.starts_with('{') {
            inside.split(',').collect()
        } else {
            vec![inside]
        };
        for head in heads {
            let name: String = head
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            if !name.is_empty() {
                named.push(name);
            }
        }
    }
    named
}

fn complain(what: &str, found: &[String]) {
    let mut text = String::new();
    for line in found {
        let _ = writeln!(text, "  {line}");
    }
    assert!(found.is_empty(), "{what}\n{text}");
}

#[test]
fn arrows_point_down_only() {
    let mut found = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let Some(room) = room_of(&path) else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            found.push(format!(
                "{}: {room} is no room of the house",
                path.display()
            ));
            continue;
        };
        for (line, text) in code(&text) {
            for named in rooms_named(text) {
                let is_room = ROOMS.iter().any(|(name, _)| *name == named);
                let open = named == room || named == "stdx" || allowed.contains(&named.as_str());
                if is_room && !open {
                    found.push(format!(
                        "{}:{line}: {room} may not use {named}",
                        path.display()
                    ));
                }
            }
        }
    }
    complain(
        "arrows between rooms that ARCHITECTURE.md does not draw:",
        &found,
    );
}

#[test]
fn the_three_lists_of_rooms_agree() {
    let here: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let in_lib: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pub mod ")
                .and_then(|l| l.strip_suffix(';'))
        })
        .collect();
    let rooms: BTreeSet<&str> = here.iter().copied().collect();
    assert_eq!(rooms, in_lib, "tests/house.rs and src/lib.rs");
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let in_map: Vec<&str> = map
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("/` |"))
        .filter_map(|line| {
            line.split('`')
                .nth(1)
                .and_then(|room| room.strip_suffix('/'))
        })
        .collect();
    assert_eq!(
        here, in_map,
        "tests/house.rs and the table of rooms in ARCHITECTURE.md"
    );
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        here.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        folders
    );
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "xtask/src"] {
        for (path, text) in sources(&root().join(folder)) {
            if !text.starts_with("//! ") && !is_generated(&path) {
                found.push(path.display().to_string());
            }
        }
    }
    complain(
        "files without a header (//! what it is for, what it must not know):",
        &found,
    );
}

fn is_generated(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "guests")
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut found = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let lines = without_tests(&text).lines().count();
        if lines > FILE_LINES_MAX && !is_test_file(&path) {
            found.push(format!("{}: {lines} lines", path.display()));
        }
    }
    complain(
        &format!("files over {FILE_LINES_MAX} lines, to be split by concept:"),
        &found,
    );
}

#[test]
fn banned_words_do_not_stand_in_the_sources() {
    let mut found = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let room = room_of(&path).unwrap_or_default();
        for (line, text) in code(without_tests(&text)) {
            for (word, open_to, instead) in BANNED {
                if text.contains(word) && !open_to.contains(&room.as_str()) && !is_test_file(&path)
                {
                    found.push(format!("{}:{line}: {word}: {instead}", path.display()));
                }
            }
        }
    }
    complain("banned words:", &found);
}

#[test]
fn pure_rooms_compute_and_do_nothing_else() {
    let mut found = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let room = room_of(&path).unwrap_or_default();
        if !PURE_ROOMS.contains(&room.as_str()) || is_test_file(&path) {
            continue;
        }
        for (line, text) in code(without_tests(&text)) {
            for word in IMPURE {
                if text.contains(word) {
                    found.push(format!("{}:{line}: {word}", path.display()));
                }
            }
        }
    }
    complain(
        "meta and resources do no I/O, spawn nothing and read no clock:",
        &found,
    );
}

#[test]
fn every_verb_of_the_command_line_is_in_its_list() {
    let list = std::fs::read_to_string(root().join("src/cli/mod.rs")).unwrap();
    let mut found = Vec::new();
    for (path, text) in sources(&root().join("src/cli")) {
        let name = path
            .file_stem()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        let is_verb = text.contains("pub(crate) struct Args") || text.contains("pub struct Args");
        if is_verb && name != "mod" && !list.contains(&format!("=> {name},")) {
            found.push(path.display().to_string());
        }
    }
    complain("verbs that src/cli/mod.rs does not list:", &found);
}
