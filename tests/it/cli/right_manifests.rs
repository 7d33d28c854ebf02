//! Manifests mean what kubectl takes them for: both say what they would apply and create.
//! `tests/golden/manifests/right` has the manifests.

use super::compare::{kubectl, said};
use crate::server::{Server, WKUBE};
use serde_json::{Deserializer, Value};
use std::path::Path;

#[test]
fn what_would_be_applied_is_what_kubectl_would_apply() {
    let Some(kubectl) = kubectl() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--mock-runtime"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifests/right");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    for file in &files {
        for verb in ["apply", "create"] {
            for form in ["json", "yaml"] {
                let args = [verb, "-f", file, "--dry-run=client", "-o", form];
                let theirs = said(&server, &folder, &kubectl, &args);
                let ours = said(&server, &folder, WKUBE, &args);
                assert_eq!(ours.code, Some(0), "{args:?}: {}", ours.stderr);
                // Some kubectls take a text that begins with a brace for JSON and nothing else.
                let braces = file == "flow.yaml" || file == "trailing-comma.json";
                if braces && theirs.code != Some(0) {
                    continue;
                }
                // kubectls differ in whether they create what is null.
                if file == "scalars.yaml" || file == "annotations.yaml" {
                    if form == "json" {
                        assert_eq!(values(&ours.stdout), values(&theirs.stdout), "{args:?}");
                    }
                } else {
                    assert_eq!(ours.stdout, theirs.stdout, "{args:?} {}", theirs.stderr);
                }
            }
        }
    }
}

fn values(text: &str) -> Vec<Value> {
    let values = Deserializer::from_str(text).into_iter::<Value>();
    values
        .map(|value| {
            let mut value = value.unwrap();
            forget_nulls(&mut value);
            value
        })
        .collect()
}

fn forget_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(forget_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_nulls),
        _ => {}
    }
}
