//! Strategic merge patches against what Kubernetes makes of them: `tests/golden/meta/strategic`.

use super::*;
use crate::meta::schema_node::testing::TestNode;
use proptest::prelude::*;
use serde_json::json;

const CASES: &str = include_str!("../../../../tests/golden/meta/strategic/cases.json");

fn golden() -> Value {
    serde_json::from_str(CASES).unwrap()
}

#[test]
fn golden_cases() {
    let golden = golden();
    let schema = TestNode::new(&golden["schema"]);
    for case in golden["cases"].as_array().unwrap() {
        let document = case.get("document").unwrap_or(&golden["document"]);
        let found = apply(document.clone(), &case["patch"], Some(&schema));
        match case.get("error") {
            Some(words) => assert_eq!(found.unwrap_err().to_string(), words.as_str().unwrap()),
            None => {
                let mut wanted = document.as_object().unwrap().clone();
                for (name, value) in case["result"].as_object().unwrap() {
                    wanted.insert(name.clone(), value.clone());
                }
                wanted.retain(|_, value| !value.is_null());
                let wanted = Value::Object(wanted);
                assert_eq!(found.unwrap(), wanted, "{}", case["name"]);
            }
        }
    }
}

#[test]
fn without_a_schema_lists_are_replaced() {
    let document = json!({"l": [{"name": "a"}], "m": {"x": 1}});
    let patch = json!({"l": [{"name": "b"}], "m": {"y": 2}});
    let wanted = json!({"l": [{"name": "b"}], "m": {"x": 1, "y": 2}});
    assert_eq!(apply(document.clone(), &patch, None).unwrap(), wanted);
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let item = ("[abc]", 0..3_i32).prop_map(|(name, image)| json!({"name": name, "image": image}));
    proptest::collection::vec(item, 0..4).prop_map(|mut items| {
        let mut seen = std::collections::BTreeSet::new();
        items.retain(|i| seen.insert(i["name"].to_string()));
        items
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("delete")),
        Just(json!("replace")),
        (0..3_i32).prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            Just("spec"),
            Just("containers"),
            Just("name"),
            Just("$patch"),
            Just("$retainKeys"),
            Just("$setElementOrder/containers"),
            Just("$deleteFromPrimitiveList/finalizers"),
            Just("finalizers"),
            Just("metadata"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((key, inner), 0..4).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn twice_is_once(old in items(), new in items()) {
        let schema = TestNode::new(&golden()["schema"]);
        let document = json!({"spec": {"containers": old}});
        let patch = json!({"spec": {"containers": new}});
        let once = apply(document.clone(), &patch, Some(&schema)).unwrap();
        prop_assert_eq!(apply(once.clone(), &patch, Some(&schema)).unwrap(), once);
    }

    #[test]
    fn never_panics(document in any_json(), patch in any_json()) {
        let schema = TestNode::new(&golden()["schema"]);
        let _ = apply(json!({"spec": document.clone()}), &json!({"spec": patch.clone()}), Some(&schema));
        let _ = apply(document.clone(), &patch, Some(&schema));
        let _ = super::super::json::apply(document.clone(), &patch);
    }
}
