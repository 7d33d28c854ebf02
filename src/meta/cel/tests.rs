//! CEL against tables of what Kubernetes asserts, hostile expressions and token soup.

use super::*;
use crate::meta::cel::functions::text;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

fn golden<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let path = format!("{}/tests/golden/cel/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn none_of(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[derive(Deserialize)]
struct Cost {
    expr: String,
    min: u64,
    max: u64,
    cost: u64,
}

#[test]
fn calls_cost_what_kubernetes_says() {
    let mut failures = Vec::new();
    for case in golden::<Vec<Cost>>("library_costs.yaml") {
        let expr = &case.expr;
        match Env::new().unfolded().compile(expr) {
            Err(why) => failures.push(format!("{expr}: {why}")),
            Ok(program) => {
                let run = program.run(&[], u64::MAX);
                let found = (program.cost().min, program.cost().max, run.cost);
                if found != (case.min, case.max, case.cost) || run.result.is_err() {
                    let wanted = (case.min, case.max, case.cost);
                    failures.push(format!(
                        "{expr}: {found:?}, not {wanted:?}; {:?}",
                        run.result
                    ));
                }
            }
        }
    }
    none_of(&failures);
}

#[derive(Deserialize)]
struct Rules {
    schema: Json,
    #[serde(default)]
    root: bool,
    object: Option<Json>,
    old: Option<Json>,
    #[serde(default)]
    valid: Vec<String>,
    #[serde(default)]
    errors: BTreeMap<String, String>,
    #[serde(default)]
    costs: BTreeMap<String, u64>,
}

impl Rules {
    fn env(&self, root: bool) -> (Env, Arc<DeclType>) {
        let of = declared(&self.schema, root).unwrap();
        let env = Env::new()
            .with("self", &of, "selfType")
            .with("oldSelf", &of, "selfType");
        (env, of)
    }

    /// Compiles and runs a rule; the result as words, and the cost.
    fn run(&self, rule: &str, root: bool) -> (String, u64) {
        let (env, of) = self.env(root);
        let program = match env.compile(rule) {
            Ok(program) => program,
            Err(why) => return (format!("rule compile error: {why}"), 0),
        };
        let mut variables = vec![(
            "self",
            of.value(self.object.as_ref().unwrap_or(&Json::Null)),
        )];
        match &self.old {
            Some(old) => variables.push(("oldSelf", of.value(old))),
            None if program.uses("oldSelf") => return ("skipped".to_owned(), 0),
            None => {}
        }
        let run = program.run(&variables, PER_CALL_LIMIT);
        let words = match run.result {
            Ok(Value::Bool(false)) => format!("failed rule: {rule}"),
            Ok(other) => text(&other),
            Err(why) => format!("{why} evaluating rule: {rule}"),
        };
        (words, run.cost)
    }
}

#[test]
fn rules_hold_and_fail_as_on_kubernetes() {
    let mut failures = Vec::new();
    for group in golden::<Vec<Rules>>("rules.yaml") {
        for rule in &group.valid {
            let (words, _) = group.run(rule, group.root);
            if words != "true" && words != "skipped" {
                failures.push(format!("{rule}: {words}"));
            }
        }
        for (rule, error) in &group.errors {
            let (words, _) = group.run(rule, true);
            if !words.contains(error) {
                failures.push(format!("{rule}: {words}\n    does not say: {error}"));
            }
        }
    }
    none_of(&failures);
}

#[test]
fn runs_cost_what_kubernetes_says() {
    let mut failures = Vec::new();
    for group in golden::<Vec<Rules>>("run_costs.yaml") {
        for (rule, cost) in &group.costs {
            let (words, found) = group.run(rule, true);
            if found != *cost {
                failures.push(format!("{rule}: {found}, not {cost}; {words}"));
            }
        }
    }
    none_of(&failures);
}

#[test]
fn estimates_are_kubernetes() {
    let mut failures = Vec::new();
    for group in golden::<Vec<Rules>>("estimated_costs.yaml") {
        for (rule, cost) in &group.costs {
            match group.env(group.root).0.compile(rule) {
                Ok(program) if program.cost().max == *cost => {}
                Ok(program) => {
                    failures.push(format!("{rule}: {}, not {cost}", program.cost().max));
                }
                Err(why) => failures.push(format!("{rule}: {why}")),
            }
        }
    }
    none_of(&failures);
}

/// Compiles and runs an expression without variables.
fn words(expr: &str) -> String {
    match Env::new().compile(expr) {
        Err(why) => why.to_string(),
        Ok(program) => match program.run(&[], PER_CALL_LIMIT).result {
            Ok(value) => text(&value),
            Err(why) => why.to_string(),
        },
    }
}

#[test]
fn expressions_give_what_they_should() {
    let mut failures = Vec::new();
    for table in ["words.yaml", "library_results.yaml"] {
        for (expr, wanted) in golden::<Vec<(String, String)>>(table) {
            let found = words(&expr);
            let fits = match wanted.strip_prefix('~') {
                Some(pattern) => {
                    let plain = found.contains(pattern);
                    plain
                        || regex::Regex::new(&format!("(?s){pattern}"))
                            .unwrap()
                            .is_match(&found)
                }
                None => found == wanted,
            };
            if !fits {
                failures.push(format!("{expr}:\n    {found:?}\n    {wanted:?}"));
            }
        }
    }
    none_of(&failures);
}

#[test]
fn an_environment_has_variables_of_any_names() {
    let data = serde_json::json!({"metadata": {"name": "a"}, "spec": {"replicas": 3}});
    let env = Env::new()
        .with_type("object", Type::Dyn)
        .with_type("oldObject", Type::Dyn)
        .with_type("params", Type::map(Type::String, Type::Int));
    let source = "object.spec.replicas <= params.most && oldObject == null";
    let program = env.compile(source).unwrap();
    assert!(program.uses("params") && !program.uses("request"));
    let variables = [
        ("object", untyped(&data)),
        ("oldObject", Value::Null),
        ("params", untyped(&serde_json::json!({"most": 5}))),
    ];
    let run = program.run(&variables, PER_CALL_LIMIT);
    assert!(matches!(run.result, Ok(Value::Bool(true))));
    assert_eq!(run.cost, 8);
    let why = env.compile("params.most == 'a'").unwrap_err().to_string();
    assert!(why.contains("applied to '(int, string)'"), "{why}");
}

/// Runs on a stack as small as a worker thread's.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn deep_and_long_expressions_end() {
    on_small_stack(|| {
        for depth in [10, 60, 100, 240, 248, 1000, 20_000] {
            for expr in [
                format!("{}1{}", "(".repeat(depth), ")".repeat(depth)),
                format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
                format!("{}1{}", "{1:".repeat(depth), "}".repeat(depth)),
                format!("1{}", "+1".repeat(depth)),
                format!("{}true", "!-".repeat(depth)),
                format!("{}true", "!".repeat(depth)),
                format!("{}1", "true?1:".repeat(depth)),
                format!("{}true", "true&&".repeat(depth)),
                format!("{{}}{}", ".a".repeat(depth)),
                format!("{{}}{}", ".?a".repeat(depth)),
                format!("[1]{}", ".map(a,a)".repeat(depth)),
                format!("[[1]]{}", ".map(a,a+a)".repeat(depth)),
                format!("{}true{}", "[1].all(a,".repeat(depth), ")".repeat(depth)),
                format!("optional.of([1]){}", ".optMap(a,a+a)".repeat(depth)),
                format!(
                    "optional.of([1]){}",
                    ".optMap(a,[a,a]==[a,a]?a:a)".repeat(depth)
                ),
                format!("{}'a'{}", "string(".repeat(depth), ")".repeat(depth)),
                format!("'{}'.matches('{}')", "a".repeat(depth), "(a|".repeat(depth)),
                format!(
                    "'a'.matches('{}a{}')",
                    "(".repeat(depth),
                    ")*".repeat(depth)
                ),
                format!("[{}]", "[],".repeat(depth)),
            ] {
                let _ = words(&expr);
            }
        }
    });
}

#[test]
fn after_too_many_wrong_characters_the_source_ends() {
    for rubbish in [99, 100, 101, 1000] {
        for rest in ["-02-01", "!", "a", ""] {
            let said = words(&format!("2000{}{rest}", "\0".repeat(rubbish)));
            assert!(said.contains("token recognition error"), "{said}");
        }
    }
}

#[test]
fn a_run_ends_at_its_budget() {
    let list = "[1,2,3,4,5,6,7,8,9,10]";
    let rounds = (0..9)
        .map(|n| format!("{list}.all(x{n},"))
        .collect::<String>();
    let expr = format!("{rounds}true{}", ")".repeat(9));
    assert_eq!(
        words(&expr),
        "operation cancelled: actual cost limit exceeded"
    );
    let program = Env::new().compile("[1, 2].all(x, x > 0)").unwrap();
    let run = program.run(&[], 3);
    assert_eq!(run.result.unwrap_err(), Failure::Cancelled);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
    #[test]
    fn no_soup_of_tokens_panics(tokens in proptest::collection::vec(
        proptest::sample::select(vec![
            "1", "0x", "1u", "1e", "1.", "-9223372036854775808", "'a'", "\"", "b'\\xff'", "r'\\'",
            "'''", "'\\u12'", "(", ")", "[", "]", "{", "}", "?", ":", ",", ".", ".?", "[?", "+",
            "-", "*", "/", "%", "!", "&&", "||", "==", "<", ">=", " in ", "a", "self", "if",
            "true", "null", "`a b`", "has(", "has(a.b)", ".all(x,", ".map(x,", ".exists(i, v,",
            ".optMap(v,", ".sortBy(", ".size()", ".format([", "optional.of(", "duration('1s')",
            "timestamp('2020-01-01T00:00:00Z')", ".matches('", "lists.range(", "quantity('1')",
            "é", "👑", "\\", "//", "\n", "@", "$", "int(", "dyn(", "type(", "A{",
        ]), 0..24))
    {
        let _ = words(&tokens.concat());
    }
}
