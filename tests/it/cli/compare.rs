//! One command line by kubectl and by wkube: what each prints and answers, made comparable.

use crate::kubectl::kubectls;
use crate::server::{Server, WKUBE};
use std::path::Path;

/// What a command has said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a client in a folder.
pub(crate) fn said(server: &Server, folder: &Path, program: &str, args: &[&str]) -> Said {
    let output = server
        .command(program, args)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The kubectl of the machine; a test without one says so and does not fail.
pub(crate) fn kubectl() -> Option<String> {
    kubectls().into_iter().next()
}

/// Runs each line by both, and complains of all that differ.
pub(crate) fn same(server: &Server, kubectl: &str, folder: &Path, lines: &[&str]) {
    let mut wrong = String::new();
    for line in lines {
        let args: Vec<&str> = line.split_whitespace().collect();
        let theirs = normal(said(server, folder, kubectl, &args), kubectl);
        let ours = normal(said(server, folder, WKUBE, &args), WKUBE);
        if theirs != ours {
            wrong.push_str(&format!(
                "== {line}\nkubectl ({:?}):\n{}{}\nwkube ({:?}):\n{}{}\n",
                theirs.code, theirs.stdout, theirs.stderr, ours.code, ours.stdout, ours.stderr
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Runs each line by kubectl in the namespace `theirs` and by wkube in `ours`, which hold the same, and
/// complains of all that differ. What a line changes, the next lines find changed.
pub(crate) fn twice(server: &Server, kubectl: &str, folder: &Path, lines: &[&str]) {
    let mut wrong = String::new();
    for line in lines {
        let run = |program: &str, namespace: &str| {
            let mut args = vec!["-n", namespace];
            args.extend(line.split_whitespace());
            let mut said = normal(said(server, folder, program, &args), program);
            for text in [&mut said.stdout, &mut said.stderr] {
                *text = text.replace(namespace, "NAMESPACE");
            }
            said
        };
        let (theirs, ours) = (run(kubectl, THEIRS), run(WKUBE, OURS));
        if theirs != ours {
            wrong.push_str(&format!(
                "== {line}\nkubectl: {theirs:#?}\nwkube: {ours:#?}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The namespaces of `twice`.
pub(crate) const THEIRS: &str = "by-theirs";
pub(crate) const OURS: &str = "by-ours";

/// Without what passes with time, and under one name.
fn normal(said: Said, program: &str) -> Said {
    let own = Path::new(program).file_name().unwrap().to_str().unwrap();
    let plain = |text: String| -> String {
        let text = text.replace(own, "wkube").replace("kubectl", "wkube");
        // Newer kubectls leave out what is null, and name the namespace of what was deleted.
        let text = text.replace("  creationTimestamp: null\n", "");
        let text = text.replace(" from default namespace", "");
        // Some kubectls have their own way of telling wrong flags.
        let text = match text.strip_prefix("Error: ") {
            Some(rest) => format!("error: {rest}"),
            None => text,
        };
        let lines = text.split_inclusive('\n').map(without_ages);
        lines.collect()
    };
    Said {
        code: said.code,
        stdout: plain(said.stdout),
        // Which kubectls go with which servers is not the question here.
        stderr: plain(said.stderr)
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("WARNING: version difference"))
            .collect(),
    }
}

/// Words such as `5m23s` become `AGE`; how far apart words stand depends on them.
fn without_ages(line: &str) -> String {
    let is_age = |word: &str| {
        let word = word.trim_matches(['(', ')']);
        word.ends_with(['s', 'm', 'h', 'd'])
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word
                .chars()
                .all(|c| c.is_ascii_digit() || "smhd".contains(c))
    };
    let words: Vec<&str> = line.split(' ').collect();
    if !words.iter().any(|word| is_age(word.trim_end())) {
        return line.to_owned();
    }
    let words = line.split_whitespace();
    let words = words.map(|word| if is_age(word) { "AGE" } else { word });
    words.collect::<Vec<_>>().join(" ") + "\n"
}
