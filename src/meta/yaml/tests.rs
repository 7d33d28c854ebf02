//! YAML against what kubectl makes of it: `tests/golden/yaml`, made with kubectl itself.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const SCALARS: &str = include_str!("../../../tests/golden/yaml/scalars.json");
const TEXTS: &str = include_str!("../../../tests/golden/yaml/texts.json");

#[test]
fn scalars_mean_what_kubectl_takes_them_for() {
    let cases: Value = serde_json::from_str(SCALARS).unwrap();
    for (text, wanted) in cases.as_object().unwrap() {
        let found = value(format!("data: {text}\n").as_bytes());
        match wanted.get("error") {
            Some(_) => assert!(found.is_err(), "{text}: {found:?}"),
            None => {
                let found = found.unwrap_or_else(|e| panic!("{text}: {e}"))["data"].take();
                let same = match (found.as_f64(), wanted.as_f64()) {
                    (Some(a), Some(b)) => a == b && found.is_f64() == wanted.is_f64(),
                    _ => &found == wanted,
                };
                assert!(same, "{text}: {found} is not {wanted}");
            }
        }
    }
}

#[test]
fn texts_read_as_kubectl_reads_them() {
    let cases: Value = serde_json::from_str(TEXTS).unwrap();
    let mut wrong = Vec::new();
    for case in cases.as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let found = value(text.as_bytes());
        let right = match (case.get("error"), &found) {
            (Some(words), Err(error)) => {
                let told = case["told"].as_bool() == Some(true);
                !told || error.to_string().ends_with(words.as_str().unwrap())
            }
            (None, Ok(found)) => found == &case["value"],
            _ => false,
        };
        if !right {
            wrong.push(format!("{text:?}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn all(text: &str) -> Vec<Result<Document, YamlError>> {
    documents(text.as_bytes())
}

#[test]
fn documents_are_split_and_each_stands_alone() {
    let text = "# first\na: 1\n---\n# nothing\n--- # two\na: {\n---\na: 3\n---\n";
    let found = all(text);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].as_ref().unwrap().value, json!({"a": 1}));
    let error = found[1].as_ref().unwrap_err();
    assert!(error.to_string().starts_with("document "), "{error}");
    assert!(error.line.is_some_and(|l| l == 6 || l == 7), "{error}");
    let last = found[2].as_ref().unwrap();
    assert_eq!((last.line, &last.value), (8, &json!({"a": 3})));
    let wrong = all("--- a: 1\n").remove(0).unwrap_err();
    assert!(wrong.message.starts_with("invalid Yaml document separator"));
    assert!(all("").is_empty() && all("---\n# x\n---\n").is_empty());
    assert!(all("a: |\n  ---\n  b\n").remove(0).is_ok());
}

#[test]
fn json_is_read_as_json() {
    let found = all("{\"a\": \"\\/\"}\n\t{\"b\": [\n\t1]}\n");
    let values: Vec<Value> = found.into_iter().map(|d| d.unwrap().value).collect();
    assert_eq!(values, [json!({"a": "/"}), json!({"b": [1]})]);
}

#[test]
fn what_is_refused() {
    let words = |text: &str| value(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        words("a: 1\nb: 2\na: 3\n"),
        "error converting YAML to JSON: yaml: line 3: key \"a\" already set in map"
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    assert!(words(&bomb).ends_with("document contains excessive aliasing"));
    let long = "x".repeat(100_000);
    let copies = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(200));
    assert!(words(&copies).ends_with("document contains excessive aliasing"));
    assert!(words(&"[".repeat(200)).contains("line 1"));
    assert!(words(&format!("{}{}", "[".repeat(150), "]".repeat(150))).contains("max depth"));
    assert!(words("a: \u{1}\n").ends_with("line 1: control characters are not allowed"));
    let binary = documents(b"a: 1\nb: \xff\xfe\x00\n").remove(0).unwrap_err();
    assert_eq!(binary.line, Some(2));
}

#[test]
fn what_may_stand_without_quotes() {
    for text in [
        "a",
        "1.2.3",
        "2026-13-01",
        "1:60",
        "x:1",
        "12:",
        "yes-no",
        "2026-01-01T1",
    ] {
        assert!(is_plain_text(text), "{text}");
    }
    let quoted = [
        "",
        "~",
        "1",
        "0x1f",
        "y",
        "Off",
        ".inf",
        "<<",
        "1:30",
        "-1:30:15.5",
        "2026-1-2",
        "2026-11-22T19:10:49Z",
        "2026-11-22 19:10:49",
        "2026-11-22t19:10:49.5+01:00",
    ];
    for text in quoted {
        assert!(!is_plain_text(text), "{text}");
    }
}

#[test]
fn other_encodings() {
    assert_eq!(value(b"\xef\xbb\xbfa: 1\n").unwrap(), json!({"a": 1}));
    let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}a: \u{e9}\n"
            .encode_utf16()
            .flat_map(order)
            .collect()
    };
    assert_eq!(value(&wide(u16::to_le_bytes)).unwrap(), json!({"a": "é"}));
    assert_eq!(value(&wide(u16::to_be_bytes)).unwrap(), json!({"a": "é"}));
}

proptest! {
    #[test]
    fn never_panics(text in "[-a0:{}\\[\\],&*!|>'\"%#?. \\n\\t<]{0,60}|\\PC{0,40}") {
        let _ = documents(text.as_bytes());
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = documents(&bytes);
    }

    #[test]
    fn quoted_text_is_text(text in "[ -~é]{0,20}") {
        let quoted = serde_json::to_string(&text).unwrap();
        let found = value(format!("a: {quoted}\n").as_bytes()).unwrap();
        prop_assert_eq!(&found["a"], &json!(text));
    }
}
