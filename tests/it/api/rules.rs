//! Validation rules of custom resources, from the definition to the object.

use super::custom_resources::established;
use super::harness::Cluster;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BEACONS: &str = "/apis/sea.example.com/v1/namespaces/default/beacons";

/// A definition whose spec has the given properties and rules.
fn beacons(properties: Value, rules: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "beacons.sea.example.com"},
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced",
            "names": {"kind": "Beacon", "plural": "beacons"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object", "properties": properties,
                        "x-kubernetes-validations": rules,
                    },
                }}},
            }],
        },
    })
}

fn beacon(spec: Value) -> Value {
    json!({
        "apiVersion": "sea.example.com/v1", "kind": "Beacon",
        "metadata": {"name": "b"}, "spec": spec,
    })
}

#[tokio::test]
async fn a_definition_with_wrong_rules_is_refused() {
    let cluster = Cluster::start().await;
    let wrong = beacons(
        json!({"min": {"type": "integer"}, "names": {"type": "array", "items": {"type": "string"}}}),
        json!([
            {"rule": "self.min < 'a'"},
            {"rule": "self.names.all(a, self.names.all(b, a == b))"},
            {"rule": "self.min > 0", "fieldPath": ".max"},
        ]),
    );
    let field = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations";
    assert_eq!(
        cluster.post(DEFINITIONS, &wrong).await.message(422),
        format!(
            "CustomResourceDefinition.apiextensions.k8s.io \"beacons.sea.example.com\" is invalid: \
             {field}[2].fieldPath: Invalid value: \".max\": must be a valid path"
        )
    );
    let mut wrong = wrong;
    let rules = wrong.pointer_mut(
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations/2",
    );
    rules.unwrap()["fieldPath"] = json!(".min");
    let message = cluster.post(DEFINITIONS, &wrong).await.message(422);
    for words in [
        format!("{field}[0].rule: Invalid value: {{\"Rule\":\"self.min \\u003c 'a'\","),
        "compilation failed: ERROR: <input>:1:10: found no matching overload for '_<_' applied to \
         '(int, string)'\n | self.min < 'a'\n | .........^"
            .to_owned(),
        format!(
            "{field}[1].rule: Forbidden: estimated rule cost exceeds budget by factor of more than \
             100x"
        ),
    ] {
        assert!(message.contains(&words), "{message}");
    }
}

#[tokio::test]
async fn objects_are_held_to_the_rules() {
    let cluster = Cluster::start().await;
    let definition = beacons(
        json!({
            "min": {"type": "integer"}, "max": {"type": "integer"},
            "color": {"type": "string", "maxLength": 20},
        }),
        json!([
            {
                "rule": "self.min <= self.max", "fieldPath": ".min",
                "messageExpression": "'%d is more than %d'.format([self.min, self.max])",
            },
            {"rule": "self.color == oldSelf.color", "message": "color stays",
             "reason": "FieldValueForbidden"},
        ]),
    );
    established(&cluster, &definition).await;
    let wrong = beacon(json!({"min": 3, "max": 2, "color": "red"}));
    let answer = cluster.post(BEACONS, &wrong).await;
    assert_eq!(answer.warnings(), [""; 0]);
    assert_eq!(
        answer.message(422),
        "Beacon.sea.example.com \"b\" is invalid: spec.min: Invalid value: 3 is more than 2"
    );
    let right = beacon(json!({"min": 1, "max": 2, "color": "red"}));
    cluster.post(BEACONS, &right).await.expect(201);
    let uri = format!("{BEACONS}/b");
    let patch = json!({"spec": {"color": "blue"}});
    let merge = "merge-patch+json";
    assert_eq!(
        cluster.patch(&uri, merge, &patch).await.message(422),
        "Beacon.sea.example.com \"b\" is invalid: spec: Forbidden: color stays"
    );
    let missing = beacon(json!({"min": 1, "color": "red"}));
    let missing = cluster
        .post(&format!("{BEACONS}?dryRun=All"), &missing)
        .await;
    assert_eq!(
        missing.message(422),
        "Beacon.sea.example.com \"b\" is invalid: spec: Invalid value: \"object\": no such key: max \
         evaluating rule: self.min <= self.max"
    );
}

#[tokio::test]
async fn what_is_as_it_was_is_only_warned_of() {
    let cluster = Cluster::start().await;
    let loose = beacons(
        json!({"min": {"type": "integer"}, "color": {"type": "string"}}),
        json!([]),
    );
    established(&cluster, &loose).await;
    let old = beacon(json!({"min": 1, "color": "red"}));
    cluster.post(BEACONS, &old).await.expect(201);
    let rule = json!([{"op": "add", "value": [{"rule": "self == 'blue'"}],
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color/x-kubernetes-validations"}]);
    let json_patch = "json-patch+json";
    let uri = format!("{DEFINITIONS}/beacons.sea.example.com");
    cluster.patch(&uri, json_patch, &rule).await.expect(200);
    let uri = format!("{BEACONS}/b");
    let merge = "merge-patch+json";
    let kept = json!({"spec": {"min": 2}});
    let mut answer = cluster.patch(&uri, merge, &kept).await;
    // The definition is taken up a moment after it is written.
    while answer.warnings().is_empty() {
        tokio::task::yield_now().await;
        answer = cluster.patch(&uri, merge, &kept).await;
    }
    let warning = "299 - \"spec.color: Invalid value: \\\"red\\\": failed rule: self == 'blue'\"";
    assert_eq!(answer.warnings(), [warning]);
    answer.expect(200);
    let changed = json!({"spec": {"color": "green"}});
    let answer = cluster.patch(&uri, merge, &changed).await;
    assert_eq!(
        answer.message(422),
        "Beacon.sea.example.com \"b\" is invalid: spec.color: Invalid value: \"green\": failed \
         rule: self == 'blue'"
    );
}
