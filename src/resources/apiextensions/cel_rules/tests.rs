//! Rules in schemas against tables of what Kubernetes asserts.

use super::ratchet::{Pair, Ratchet};
use super::*;
use crate::meta::cel::RUNTIME_BUDGET;
use serde::Deserialize;

fn golden<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap()
}

#[derive(Deserialize)]
struct Case {
    schema: Json,
    root: Option<bool>,
    object: Json,
    old: Option<Json>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Whether each of the wanted is in one of those found, and there are no more.
fn agree(found: &[String], wanted: &[String]) -> bool {
    let mut left: Vec<&String> = found.iter().collect();
    wanted.iter().all(|wanted| {
        match left
            .iter()
            .position(|found| found.contains(wanted.as_str()))
        {
            Some(at) => {
                left.remove(at);
                true
            }
            None => false,
        }
    }) && left.is_empty()
}

#[test]
fn objects_are_judged_as_on_kubernetes() {
    let cases: Vec<Case> = golden(include_str!(
        "../../../../tests/golden/resources/cel_rules/objects.yaml"
    ));
    let mut failures = Vec::new();
    for case in cases {
        let validator = compile::build_at(&case.schema, case.root.unwrap_or(true)).unwrap();
        let old = case.old.as_ref();
        let ratchet = match old {
            Some(old) if case.root == Some(false) => {
                Ratchet::at(Pair::new(&case.object, old, &case.schema))
            }
            _ => Ratchet::default(),
        };
        let report = validator.run_within(&case.object, old, ratchet, RUNTIME_BUDGET, "");
        let errors: Vec<String> = report
            .errors
            .iter()
            .map(|e| format!("{e} ({} {})", e.kind.reason(), e.field))
            .collect();
        if !agree(&errors, &case.errors) || !agree(&report.warnings, &case.warnings) {
            failures.push(format!(
                "{}\n  object {} old {:?}\n  errors {errors:#?} not {:#?}\n  warnings {:#?} not {:#?}",
                case.schema, case.object, case.old, case.errors, report.warnings, case.warnings
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[derive(Deserialize)]
struct Schema {
    schema: Json,
    #[serde(default)]
    errors: Vec<String>,
}

#[test]
fn schemas_are_judged_in_kubernetes_words() {
    let cases: Vec<Schema> = golden(include_str!(
        "../../../../tests/golden/resources/cel_rules/schemas.yaml"
    ));
    for case in cases {
        let errors: Vec<String> = check(&case.schema, "S", true, &[])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, case.errors, "{}", case.schema);
    }
}

#[test]
fn a_run_over_an_object_has_one_budget() {
    let schema: Json = golden(
        "type: object
properties:
  items:
    type: array
    items:
      type: integer
      x-kubernetes-validations:
      - rule: '[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c,
          [1,2,3,4,5,6,7,8,9].all(d, a + b + c + d > self))))'
",
    );
    let validator = Validator::of(&schema).unwrap();
    let object = serde_json::json!({"items": vec![0; 1000]});
    let report = validator.run(&schema, &object, None);
    let last = report.errors.last().unwrap().to_string();
    assert_eq!(report.errors.len(), 1);
    assert!(last.contains(
        "Invalid value: \"integer\": validation failed due to running out of cost budget"
    ));
}
