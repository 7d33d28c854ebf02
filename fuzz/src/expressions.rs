//! Small languages: CEL, Go's regular expressions, JSONPath.

use crate::meta::cel::{Env, PER_CALL_LIMIT, Type, untyped};
use crate::meta::{go_regex as regex, jsonpath as path};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// An object that expressions and paths find something in.
static DATA: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "a", "labels": {"app.io/x": "y", "b": "c"}},
        "spec": {"replicas": 3, "list": [{"n": "one", "v": 1}, {"n": "two", "v": 2.5}], "on": true},
        "list": [1, 2, 3], "empty": [], "text": "é👑", "none": null,
    })
});

/// An expression ends within its budget, and twice the same way.
pub fn cel(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let env = Env::new()
        .with_type("self", Type::Dyn)
        .with_type("a", Type::list(Type::Int));
    let program = match env.compile(source) {
        Ok(program) => program,
        Err(why) => return drop(why.to_string()),
    };
    let (least, most) = (program.cost().min, program.cost().max);
    assert!(least <= most, "an estimate from {least} to {most}");
    let variables = [("self", untyped(&DATA)), ("a", untyped(&json!([1, 2, 3])))];
    let run = program.run(&variables, PER_CALL_LIMIT);
    let again = program.run(&variables, PER_CALL_LIMIT);
    assert_eq!(run.cost, again.cost, "the cost is the same");
    assert_eq!(format!("{:?}", run.result), format!("{:?}", again.result));
    if run.result.is_ok() {
        assert!(run.cost <= PER_CALL_LIMIT, "{} is over the limit", run.cost);
    }
}

/// What Go takes is compiled, and runs.
pub fn go_regex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, text) = text.split_once('\n').unwrap_or((text, "aab é"));
    if let Ok(compiled) = regex::compile(pattern) {
        let found = compiled.is_match(text);
        let again = regex::compile(pattern).expect("it was compiled before");
        assert_eq!(again.is_match(text), found);
    }
}

/// A path is read or refused, and what it prints has a limit.
pub fn jsonpath(data: &[u8]) {
    let Ok(template) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(read) = path::JsonPath::parse(template) {
        for allow_missing in [true, false] {
            if let Ok(out) = read.render(&DATA, allow_missing) {
                assert!(out.len() <= path::MAX_OUTPUT_BYTES);
            }
        }
    }
    if let Ok(read) = path::JsonPath::parse_relaxed(template) {
        let _ = read.find(&DATA, true);
    }
}
