//! JSONPath against what kubectl prints: `tests/golden/meta/jsonpath`.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const CASES: &str = include_str!("../../../tests/golden/meta/jsonpath/cases.json");

#[test]
fn golden_cases() {
    let golden: Value = serde_json::from_str(CASES).unwrap();
    let data = &golden["data"];
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let found = JsonPath::parse(template).and_then(|p| p.render(data, true));
        let found = found.map_err(|e| e.to_string());
        let wanted = match (case["output"].as_str(), case["error"].as_str()) {
            (Some(output), _) => Ok(output.to_owned()),
            (None, words) => Err(words.unwrap_or_default().to_owned()),
        };
        if found != wanted {
            wrong.push(format!("{template}: {found:?} is not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn relaxed_paths_and_missing_fields() {
    let data = json!({"a": {"b": 1}});
    for path in ["a.b", ".a.b", "{a.b}", "{.a.b}"] {
        let path = JsonPath::parse_relaxed(path).unwrap();
        assert_eq!(path.find(&data, true).unwrap(), [&json!(1)]);
    }
    assert!(JsonPath::parse_relaxed("{a.b").is_err());
    let path = JsonPath::parse("{.a.c}").unwrap();
    assert_eq!(path.render(&data, true).unwrap(), "");
    assert_eq!(
        path.render(&data, false).unwrap_err().to_string(),
        "c is not found"
    );
}

proptest! {
    #[test]
    fn never_panics(template in "([{}\\[\\].@$?()*:,'\"<>=!a0-9\\\\ -]|range|end|\\PC){0,40}") {
        let data = json!({"a": [{"a": 1}, {"a": [2, "x"]}], "0": true});
        if let Ok(path) = JsonPath::parse(&template) {
            let _ = path.render(&data, true);
        }
        let _ = JsonPath::parse_relaxed(&template);
    }
}
