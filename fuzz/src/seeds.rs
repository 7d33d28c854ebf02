//! What the targets begin with: texts of the golden files. Objects are made of bytes, and need none.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Longest seed (bytes).
const SEED_MAX: usize = 4_096;

/// Golden files by target; every text in them is a seed.
const GOLDEN: &[(&str, &[&str])] = &[
    (
        "cel",
        &[
            "cel/words.yaml",
            "cel/library_results.yaml",
            "cel/library_costs.yaml",
            "cel/rules.yaml",
            "cel/run_costs.yaml",
        ],
    ),
    ("jsonpath", &["meta/jsonpath/cases.json"]),
    ("yaml", &["yaml/texts.json", "yaml/scalars.json"]),
    ("json", &["yaml/texts.json", "custom/gadgets.json"]),
    ("scalars", &["yaml/scalars.json"]),
];

/// Seeds that stand nowhere else.
const WRITTEN: &[(&str, &[&str])] = &[
    (
        "selectors",
        &[
            "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>3,m<4",
            "metadata.name=x,status.phase!=Running",
            "watch=1&labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&limit=5&resourceVersion=7&continue=e30",
            "dryRun=All&fieldManager=me&fieldValidation=Strict&force=true&gracePeriodSeconds=0",
            r#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"In","values":["d"]}]}"#,
        ],
    ),
    (
        "paths",
        &[
            "/api/v1/namespaces/d/pods/p/log?watch=1&fieldSelector=metadata.name%3Dx",
            "/apis/apps/v1/namespaces/d/deployments/x/status",
            "/api/v1/watch/namespaces/d/pods/x",
            "/api/v1/namespaces/d/services/https:p:80/proxy/a%2Fb/c/",
            "/api/v1/nodes/%6e/proxy/",
        ],
    ),
    (
        "go_regex",
        &[
            "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)$\nab-c",
            r"(?i:\pL+)[[:alpha:]\d]{2,5}?\Q.\E\x{10FFFF}\bx",
            r"(?P<n>a|b)*\C\z",
            "[^\\D\\S]",
        ],
    ),
    (
        "scalars",
        &[
            "1.5Gi",
            "-0.000000001",
            "1e6",
            "1h30m1.5s",
            "2024-02-29T23:59:59.123456+01:00",
            "x.io/name",
        ],
    ),
];

/// Writes the seeds of a target into its corpus, where cargo-fuzz looks for it.
pub fn plant(target: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = here.join("corpus").join(target);
    let mut seeds = Vec::new();
    for (_, files) in GOLDEN.iter().filter(|(name, _)| *name == target) {
        for file in *files {
            texts(
                &golden(&here.join("../tests/golden").join(file)),
                &mut seeds,
            );
        }
    }
    for (_, written) in WRITTEN.iter().filter(|(name, _)| *name == target) {
        seeds.extend(written.iter().map(|seed| seed.as_bytes().to_vec()));
    }
    if target == "protobuf" {
        seeds.extend(messages());
    }
    if seeds.is_empty() || std::fs::create_dir_all(&corpus).is_err() {
        return;
    }
    for (number, seed) in seeds
        .iter()
        .filter(|seed| seed.len() <= SEED_MAX)
        .enumerate()
    {
        // A corpus without a seed is a corpus all the same.
        let _ = std::fs::write(corpus.join(format!("seed-{number}")), seed);
    }
}

fn golden(path: &PathBuf) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_yaml::from_str(&text).unwrap_or_default()
}

fn texts(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => found.push(text.clone().into_bytes()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => {
            for (name, value) in map {
                found.push(name.clone().into_bytes());
                texts(value, found);
            }
        }
        _ => {}
    }
}

/// The example of every kind, as `wire::protobuf` reads it.
fn messages() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (number, def) in crate::resources::BUILTINS.iter().enumerate() {
        let Ok(mut body) = serde_json::from_str::<Value>(&def.example) else {
            continue;
        };
        body["apiVersion"] = def.api_version().into();
        body["kind"] = def.kind.to_string().into();
        if let Ok(bytes) = crate::resources::wire::table().encode(&body) {
            // The whole body, and the message alone: after the envelope's own type.
            let head = 4 + 2 + bytes.get(5).copied().map_or(0, usize::from);
            let length = bytes
                .get(head + 1)
                .map_or(1, |byte| if *byte < 0x80 { 1 } else { 2 });
            let message = bytes.get(head + 1 + length..).unwrap_or_default();
            found.push([&[number as u8], message].concat());
            found.push(bytes);
        }
    }
    found
}
