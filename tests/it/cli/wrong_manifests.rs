//! Manifests with mistakes: each is told with file, document, line and field, nothing of a wrong
//! document is applied, and none takes long or much. `tests/golden/manifests/wrong` has a manifest
//! and, beside it, what stderr says of it.

use super::compare::said;
use crate::server::{Server, WKUBE};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifests/wrong")
}

#[test]
fn mistakes_are_told_by_file_document_line_and_field() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    let folder = folder();
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".txt"))
        .collect();
    files.sort();
    let mut wrong = String::new();
    for file in &files {
        let found = said(&server, &folder, WKUBE, &["apply", "-f", file]);
        let told = folder.join(file).with_extension("txt");
        if std::env::var_os("WKUBE_TEST_BLESS").is_some() {
            std::fs::write(&told, &found.stderr).unwrap();
        }
        let wanted = std::fs::read_to_string(&told).unwrap_or_default();
        if found.code != Some(1) || found.stderr != wanted {
            writeln!(wrong, "== {file}: {found:?}\nwanted: {wanted:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Of files with several documents the right ones stand: all of them where the wrong one could
    // be read, those before it where it could not; as kubectl has it.
    let own = "--field-selector=metadata.name!=kube-root-ca.crt";
    let maps = server.ok(WKUBE, &["get", "configmaps", "-o", "name", own]);
    assert_eq!(maps, "configmap/first\nconfigmap/third\nconfigmap/x\n");
    assert_eq!(server.ok(WKUBE, &["get", "pods", "-o", "name"]), "");
}

#[test]
fn large_deep_and_binary_texts_are_refused_at_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&data.path().join("data"), &["--mock-runtime"]);
    let folder = data.path();
    let deep = 100_000;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec();
    elf.extend((0..4_096_u32).map(|n| (n % 251) as u8));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("lists.yaml", b"[".repeat(deep), "exceeded max depth of 100"),
        (
            "maps.yaml",
            b"{a: ".repeat(deep),
            "exceeded max depth of 100",
        ),
        (
            "json.json",
            b"{\"a\":".repeat(deep),
            "exceeded max depth of 100",
        ),
        (
            "dashes.yaml",
            b"- ".repeat(deep),
            "exceeded max depth of 100",
        ),
        (
            "nul.yaml",
            b"a: \0\n".to_vec(),
            "line 1: control characters",
        ),
        (
            "utf8.yaml",
            b"a: b\nc: \xff\xfe\n".to_vec(),
            "line 2: invalid",
        ),
        (
            "elf.yaml",
            elf,
            "error converting YAML to JSON: yaml: line 2",
        ),
        (
            "huge.yaml",
            vec![b'#'; (64 << 20) + 1],
            "larger than 67108864 bytes",
        ),
    ];
    for (name, bytes, words) in cases {
        std::fs::write(folder.join(name), bytes).unwrap();
        let found = said(&server, folder, WKUBE, &["apply", "-f", name]);
        assert_eq!(found.code, Some(1), "{name}: {}", found.stderr);
        let named = found.stderr.contains(name) && found.stderr.contains(words);
        assert!(
            named && found.stderr.len() < 1_000,
            "{name}: {}",
            found.stderr
        );
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&data.path().join("data"), &["--mock-runtime"]);
    let folder = data.path().join("manifests");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    std::fs::write(folder.join("a.yaml"), map("a")).unwrap();
    std::fs::write(folder.join("b.yaml"), "a: b: c\n").unwrap();
    std::fs::write(folder.join("c.txt"), "not looked at").unwrap();
    std::fs::write(folder.join("d.yml"), map("d")).unwrap();
    std::fs::write(folder.join("sub/e.json"), "{\"kind\": \"ConfigMap\"}").unwrap();
    let apply = |args: &[&str]| said(&server, data.path(), WKUBE, args);
    // A wrong file of a folder leaves the others alone.
    let found = apply(&["apply", "-R", "-f", "manifests"]);
    assert_eq!(found.stdout, "configmap/a created\nconfigmap/d created\n");
    assert_eq!(
        found.stderr,
        "error parsing manifests/b.yaml: error converting YAML to JSON: yaml: line 1: mapping \
         values are not allowed in this context\nerror validating \"manifests/sub/e.json\": error \
         validating data: apiVersion not set; if you choose to ignore these errors, turn \
         validation off with --validate=false\nat manifests/sub/e.json:1 (document 1)\n"
    );
    // What is not there stops everything before it begins.
    let found = apply(&["apply", "-f", "manifests/a.yaml", "-f", "nope.yaml"]);
    assert_eq!(
        found.stderr,
        "error: the path \"nope.yaml\" does not exist\n"
    );
    assert_eq!((found.code, found.stdout.as_str()), (Some(1), ""));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.yaml", closed.local_addr().unwrap());
    drop(closed);
    let found = apply(&["apply", "-f", &url]);
    assert_eq!(found.code, Some(1));
    assert!(
        found
            .stderr
            .starts_with(&format!("error: unable to read URL \"{url}\""))
    );
    std::fs::create_dir(data.path().join("nothing")).unwrap();
    let found = apply(&["apply", "-f", "nothing"]);
    assert_eq!(
        found.stderr,
        "error: error reading [nothing]: recognized file extensions are [.json .yaml .yml]\n"
    );
}
