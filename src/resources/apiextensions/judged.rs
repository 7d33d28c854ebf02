//! Definitions and objects of all kinds of odd forms, against what Kubernetes' own code says of them.

use super::custom_resource_definition::DEF;
use super::rows;
use crate::meta::{FieldError, Object};
use crate::resources::Part;
use crate::resources::def::ResourceDef;
use serde::Deserialize;
use serde_json::{Value, json};

fn none_of(failures: &[String]) {
    let all = failures.join("\n");
    assert!(failures.is_empty(), "{} differ:\n{all}", failures.len());
}

/// Kubernetes walks maps in any order.
fn sorted(errors: &[FieldError]) -> Vec<String> {
    let mut words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    words.sort();
    words
}

#[derive(Debug, Deserialize)]
struct Definition {
    new: Value,
    errors: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[test]
fn definitions_are_refused_as_by_kubernetes() {
    let table = include_str!("../../../tests/golden/custom/judged_definitions.jsonl");
    let mut failures = Vec::new();
    for line in table.lines() {
        let mut case: Definition = serde_json::from_str(line).unwrap();
        case.new["apiVersion"] = json!("apiextensions.k8s.io/v1");
        case.new["kind"] = json!("CustomResourceDefinition");
        let mut new = DEF.decode(case.new).unwrap().object;
        DEF.default(&mut new);
        DEF.prepare_for_create(&mut new);
        let found = sorted(&DEF.validate(&new));
        let mut warnings = DEF.warnings(&new, None);
        warnings.retain(|text| !text.contains("not in force yet"));
        warnings.sort();
        case.warnings.sort();
        if found != case.errors || warnings != case.warnings {
            failures.push(format!("{line}\n    {found:?} {warnings:?}"));
        }
    }
    none_of(&failures);
}

#[derive(Debug, Deserialize)]
struct Case {
    schema: Value,
    status: bool,
    object: Value,
    old: Option<Value>,
    errors: Vec<String>,
    result: Option<Value>,
}

/// The row of a kind with a schema.
fn row(schema: &Value, status: bool) -> ResourceDef {
    let names = json!({"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"});
    let subresources = if status {
        json!({"status": {}})
    } else {
        json!({})
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com", "uid": "u"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [{
            "name": "v1", "served": true, "storage": true, "subresources": subresources,
            "schema": {"openAPIV3Schema": schema},
        }]},
        "status": {"acceptedNames": names, "storedVersions": ["v1"],
            "conditions": [{"type": "Established", "status": "True"}]},
    });
    let stored = serde_json::to_vec(&definition).unwrap();
    let definition = Object::from_value(definition).unwrap();
    let rows = rows::rows(&definition, &stored.into()).unwrap();
    rows.served.into_iter().next().unwrap()
}

#[test]
fn objects_are_filled_in_and_refused_as_by_kubernetes() {
    let table = include_str!("../../../tests/golden/custom/judged_objects.jsonl");
    let mut failures = Vec::new();
    for line in table.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let row = row(&case.schema, case.status);
        let read = |object: &Value| {
            let mut object = row.decode(object.clone()).unwrap().object;
            row.default(&mut object);
            object
        };
        let mut new = read(&case.object);
        let errors = match &case.old {
            Some(old) => {
                let mut old = read(old);
                row.prepare_for_create(&mut old);
                for object in [&mut old, &mut new] {
                    object.set(&["metadata", "resourceVersion"], json!("1"));
                }
                row.prepare_for_update(Part::Main, &mut new, &old);
                row.validate_update(Part::Main, &new, &old)
            }
            None => {
                row.prepare_for_create(&mut new);
                row.validate(&new)
            }
        };
        let found = sorted(&errors);
        let wanted = case.result.as_ref().unwrap_or(&case.object);
        let same = |name: &str| name == "metadata" || new.get(&[name]) == wanted.get(name);
        let names = wanted.as_object().unwrap().keys();
        let result = names.map(String::as_str).chain(["status"]).all(same);
        if found != case.errors || !result {
            failures.push(format!("{line}\n    {found:?}\n    {:?}", new.fields()));
        }
    }
    none_of(&failures);
}
