//! The wire form `application/vnd.kubernetes.protobuf` of the rows: the table of descriptors, read
//! from a small text when first needed. Must not know kinds.

use crate::meta::protobuf::Table;
use std::sync::OnceLock;

const TEXT: &str = include_str!("facts/wire.txt");

/// The messages of every kind that is built in, of lists and of what the API machinery sends.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::protobuf::EncodeError;
    use crate::resources::schema::{Form, Node, Shape};
    use crate::resources::{BUILTINS, ResourceDef, Scheme};
    use serde_json::{Map, Value, json};

    /// Types that contain themselves are followed this far.
    const DEPTH_MAX: usize = 12;

    fn round(value: &Value) -> Result<Value, EncodeError> {
        let bytes = table().encode(value)?;
        Ok(table().decode(&bytes).unwrap())
    }

    /// A value that has every field.
    fn sample(node: &Node, number: &mut i64, depth: usize) -> Value {
        *number += 1;
        match &node.shape {
            // Where a schema of a custom resource may stand it is one.
            Shape::Any | Shape::Deduced | Shape::AnyObject(_) => {
                json!({"type": format!("text {number}")})
            }
            Shape::String(Form::Plain) => json!(format!("text {number}")),
            Shape::String(Form::Bytes) => json!("AAEC"),
            Shape::String(Form::Time) => json!("2024-02-29T23:59:59Z"),
            Shape::String(Form::MicroTime) => json!("2024-02-29T23:59:59.123456Z"),
            Shape::Integer(_) => json!(*number),
            Shape::Number => json!(0.5),
            Shape::Boolean => json!(true),
            Shape::IntOrString => json!("80%"),
            Shape::Quantity => json!("100m"),
            Shape::List(items) => json!([sample(items, number, depth + 1)]),
            Shape::Map(values) => json!({"key": sample(values, number, depth + 1)}),
            Shape::Struct(of) => {
                let mut object = Map::new();
                let fields = &of.body().fields;
                // An object within an object does not say what it is.
                let embedded = depth > 0 && fields.iter().any(|(name, _)| &**name == "metadata");
                for (name, node) in fields {
                    let known = embedded && matches!(&**name, "apiVersion" | "kind");
                    if depth < DEPTH_MAX && !known {
                        object.insert(name.to_string(), sample(node, number, depth + 1));
                    }
                }
                Value::Object(object)
            }
        }
    }

    /// Not what the metrics server serves in Kubernetes: it is told in JSON.
    fn has_form(def: &ResourceDef) -> bool {
        def.group != "metrics.k8s.io"
    }

    fn everything(def: &ResourceDef) -> Value {
        let mut object = sample(def.schema.get().root(), &mut 0, 0);
        object["apiVersion"] = json!(def.api_version());
        object["kind"] = json!(def.kind);
        object
    }

    /// Without what the form cannot tell from nothing.
    fn without_empty(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let map = map
                    .into_iter()
                    .map(|(name, value)| (name, without_empty(value)));
                let map = map.filter(|(_, value)| *value != json!({}) && *value != json!([]));
                Value::Object(map.collect())
            }
            Value::Array(items) => items.into_iter().map(without_empty).collect(),
            other => other,
        }
    }

    #[test]
    fn every_field_of_every_row_has_this_form() {
        for def in BUILTINS.iter().filter(|def| has_form(def)) {
            let wanted = everything(def);
            let found = round(&wanted).unwrap_or_else(|error| panic!("{}: {error}", def.kind));
            let (wanted, found) = (without_empty(wanted), without_empty(found));
            assert!(found == wanted, "{}: {found}\n{wanted}", def.kind);
        }
    }

    #[test]
    fn every_example_comes_back() {
        for def in BUILTINS.iter().filter(|def| has_form(def)) {
            let mut body: Value = serde_json::from_str(&def.example).unwrap();
            body["apiVersion"] = json!(def.api_version());
            body["kind"] = json!(def.kind);
            let full = |body: Value| {
                let decoded = def.decode(body).unwrap();
                assert_eq!(decoded.unknown_fields, Vec::<String>::new(), "{}", def.kind);
                let mut object = decoded.object;
                def.default(&mut object);
                object.into_value()
            };
            let sent = full(round(&body).unwrap());
            let wanted = full(body);
            assert_eq!(sent, wanted, "{}", def.kind);
            assert_eq!(full(round(&wanted).unwrap()), wanted, "{}", def.kind);
            if !def.storage_prefix.is_empty() {
                let list = json!({
                    "apiVersion": def.api_version(),
                    "kind": def.list_kind,
                    "metadata": {"resourceVersion": "7", "continue": "x"},
                    "items": [wanted],
                });
                let mut found = round(&list).unwrap();
                assert_eq!(found["metadata"], list["metadata"]);
                found["items"][0]["apiVersion"] = json!(def.api_version());
                found["items"][0]["kind"] = json!(def.kind);
                assert_eq!(full(found["items"][0].take()), wanted, "{}", def.kind);
            }
        }
    }

    #[test]
    fn what_a_running_server_defaults_comes_back() {
        let cases = include_str!("../../tests/golden/resources/defaulted.json");
        let cases: Value = serde_json::from_str(cases).unwrap();
        for case in cases.as_array().unwrap() {
            let wanted = &case["out"];
            let scheme = Scheme::builtin();
            let text = |name: &str| wanted[name].as_str().unwrap();
            let def = scheme
                .by_api_version(text("apiVersion"), text("kind"))
                .unwrap();
            let mut object = def.decode(round(wanted).unwrap()).unwrap().object;
            def.default(&mut object);
            let found = without_empty(object.into_value());
            assert_eq!(found, without_empty(wanted.clone()), "{}", def.kind);
        }
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let fields = TEXT.lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(table().count(), fields);
    }

    #[test]
    fn what_the_machinery_sends_has_this_form() {
        for value in [
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan", "dryRun": ["All"]}),
            json!({"kind": "DeleteOptions", "apiVersion": "apps/v1", "orphanDependents": false}),
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {"continue": "x"},
                "status": "Failure", "message": "m", "reason": "NotFound", "code": 404,
                "details": {"name": "x", "kind": "pods", "retryAfterSeconds": 1,
                    "causes": [{"reason": "r", "message": "m", "field": "f"}]}}),
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"name": "x", "labels": {"a": "b"}}}),
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1beta1",
                "metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "x"}}]}),
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "x"},
                "spec": {"replicas": 2}, "status": {"replicas": 0, "selector": "a=b"}}),
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1",
                "resources": [{"name": "deployments", "singularName": "", "namespaced": true,
                    "kind": "Deployment", "verbs": ["get"], "shortNames": ["deploy"]}]}),
        ] {
            assert_eq!(round(&value).unwrap(), value);
        }
    }
}
