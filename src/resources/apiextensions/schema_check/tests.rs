//! Schemas that are refused, in Kubernetes' words, and some that are not.

use crate::meta::Object;
use crate::resources::apiextensions::custom_resource_definition::DEF;
use serde_json::{Value, json};

fn told(schema: &Value) -> Vec<String> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Foo", "plural": "foos"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}],
        },
    });
    let mut object: Object = DEF.decode(definition).unwrap().object;
    DEF.default(&mut object);
    DEF.prepare_for_create(&mut object);
    let errors = DEF.validate(&object);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn schemas_are_refused_in_kubernetes_words() {
    let cases = include_str!("../../../../tests/golden/custom/refused_schemas.json");
    let cases: Value = serde_json::from_str(cases).unwrap();
    for case in cases.as_array().unwrap() {
        let wanted: Vec<&str> = case["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(told(&case["schema"]), wanted, "{}", case["schema"]);
    }
}
