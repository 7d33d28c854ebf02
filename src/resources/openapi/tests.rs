//! The documents are whole: every reference leads somewhere, and what clients look for is there.

use super::*;
use crate::resources::schema::{Node, Shape, Struct};
use crate::resources::{DefRef, Scheme};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn assert_closed(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some_and(Value::is_object),
            "{reference}"
        );
    }
}

#[test]
fn documents_are_closed_and_name_kinds() {
    let scheme = Scheme::builtin();
    let v2 = v2::document(&scheme, "v1.36.2");
    assert_closed(&v2);
    let pod = &v2["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "kind": "Pod", "version": "v1"}])
    );
    assert!(pod.get("required").is_none());
    let spec = &v2["definitions"]["io.k8s.api.core.v1.PodSpec"];
    assert_eq!(spec["required"], json!(["containers"]));
    let containers = &spec["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(
        spec["properties"]["volumes"]["x-kubernetes-patch-strategy"],
        "merge,retainKeys"
    );
    let patch = &v2["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["operationId"], "patchCoreV1NamespacedPod");
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Pod");
    let named = |p: &Value| p["name"] == "dryRun";
    assert!(patch["parameters"].as_array().unwrap().iter().any(named));
    for (path, group, version) in v3::documents(&scheme) {
        let document = v3::document(&scheme, &group, &version, "v1.36.2");
        assert_closed(&document);
        assert!(!document["paths"].as_object().unwrap().is_empty(), "{path}");
    }
    let index = v3::index(&scheme, |_| "h".to_owned());
    assert_eq!(
        index["paths"]["api/v1"]["serverRelativeURL"],
        "/openapi/v3/api/v1?hash=h"
    );
}

/// Walks a shape beside the definitions; complains of what the definitions leave out. Answers how
/// many fields were seen.
fn walk(node: &Node, shown: &Value, all: &Value, seen: &mut BTreeSet<String>) -> usize {
    match &node.shape {
        Shape::Struct(named) if named.name.is_empty() => fields_of(named.body(), shown, all, seen),
        Shape::Struct(named) if seen.insert(named.name.clone()) => {
            let definition = &all[&named.name];
            assert!(definition.is_object(), "{}", named.name);
            let words = &named.body().description;
            if !words.is_empty() {
                assert_eq!(definition["description"], json!(words), "{}", named.name);
            }
            fields_of(named.body(), definition, all, seen)
        }
        Shape::List(item) => walk(item, &shown["items"], all, seen),
        Shape::Map(item) => walk(item, &shown["additionalProperties"], all, seen),
        _ => 0,
    }
}

fn fields_of(body: &Struct, shown: &Value, all: &Value, seen: &mut BTreeSet<String>) -> usize {
    let of = |(name, node): &(Box<str>, Node)| {
        let property = &shown["properties"][name.as_ref()];
        assert!(property.is_object(), "{name} of {}", shown["description"]);
        if !node.description.is_empty() {
            // Which values it may have may follow.
            let words = property["description"].as_str().unwrap_or_default();
            assert!(words.starts_with(&*node.description), "{name}: {words}");
        }
        1 + walk(node, property, all, seen)
    };
    body.fields.iter().map(of).sum()
}

fn assert_described<'a>(defs: impl IntoIterator<Item = &'a DefRef>, all: &Value) -> usize {
    let mut fields = 0;
    for def in defs {
        let name = definition_name(def);
        let root = def.schema.get();
        fields += walk(root.root(), &Value::Null, all, &mut BTreeSet::new());
        let list = format!("{}.{}", name.rsplit_once('.').unwrap().0, def.list_kind);
        for (name, kind) in [(name, &def.kind), (list, &def.list_kind)] {
            let gvk = json!({"group": def.group, "kind": kind, "version": def.version});
            let kinds = all[&name]["x-kubernetes-group-version-kind"].as_array();
            assert!(kinds.is_some_and(|kinds| kinds.contains(&gvk)), "{name}");
            let words = &all[&name]["description"];
            assert!(words.as_str().is_some_and(|w| !w.is_empty()), "{name}");
        }
    }
    for (name, definition) in all.as_object().unwrap() {
        let described = definition.get("description").is_some();
        assert!(described, "{name} is not described");
    }
    fields
}

#[test]
fn every_kind_and_field_is_described() {
    let scheme = Scheme::builtin();
    let v2 = v2::document(&scheme, "v1.36.2");
    let fields = assert_described(scheme.iter(), &v2["definitions"]);
    assert!(fields > 1000, "{fields}");
    let mut in_parts = 0;
    for (_, group, version) in v3::documents(&scheme) {
        let document = v3::document(&scheme, &group, &version, "v1.36.2");
        let defs = scheme.group_version(&group, &version);
        in_parts += assert_described(defs, &document["components"]["schemas"]);
    }
    assert_eq!(in_parts, fields);
}

#[test]
fn fields_tell_which_values_they_may_have() {
    let scheme = Scheme::builtin();
    let v2 = v2::document(&scheme, "v1.36.2");
    let policy = |schemas: &Value| {
        let policy = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["restartPolicy"];
        assert_eq!(policy["enum"], json!(["Always", "Never", "OnFailure"]));
        let words = policy["description"].as_str().unwrap();
        let list = "\n\nPossible enum values:\n - `\"Always\"`\n - `\"Never\"`\n - `\"OnFailure\"`";
        assert!(
            words.starts_with("Restart policy") && words.ends_with(list),
            "{words}"
        );
        let claim = &schemas["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"];
        let modes = &claim["accessModes"];
        assert_eq!(modes["items"]["enum"].as_array().unwrap().len(), 4);
        assert!(modes.get("enum").is_none());
        let path = &schemas["io.k8s.api.core.v1.HostPathVolumeSource"]["properties"]["type"];
        assert_eq!(path["enum"][0], "");
    };
    policy(&v2["definitions"]);
    let core = v3::documents(&scheme)
        .into_iter()
        .find(|(path, ..)| path == "api/v1");
    let (_, group, version) = core.unwrap();
    policy(&v3::document(&scheme, &group, &version, "v1.36.2")["components"]["schemas"]);
    // Every fact is about a field that there is.
    for (of_type, fields) in enums::all() {
        let name = v2["definitions"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(name, _)| {
                let short = name.strip_prefix("io.k8s.").unwrap_or(name);
                short.strip_prefix("api.").unwrap_or(short) == *of_type
            });
        let Some((_, definition)) = name else {
            panic!("{of_type} is no type");
        };
        for (field, enumeration) in fields {
            let shown = &definition["properties"][field];
            let at = match enumeration.place {
                enums::Place::Field => shown,
                enums::Place::Inside => {
                    shown.get("items").unwrap_or(&shown["additionalProperties"])
                }
            };
            assert_eq!(at["type"], "string", "{of_type} {field}");
            let count = enumeration.values().count();
            assert_eq!(
                at["enum"].as_array().map(Vec::len),
                Some(count),
                "{of_type} {field}"
            );
        }
    }
}

/// Fields of a protobuf message: number and content.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        if key & 7 == 0 {
            let value = varint(&mut bytes);
            fields.push((key >> 3, value.to_string().into_bytes()));
            continue;
        }
        assert_eq!(key & 7, 2);
        let length = usize::try_from(varint(&mut bytes)).unwrap();
        fields.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    fields
}

fn only(bytes: &[u8], number: u64) -> Vec<Vec<u8>> {
    let fields = fields(bytes).into_iter();
    fields
        .filter(|(n, _)| *n == number)
        .map(|(_, b)| b)
        .collect()
}

#[test]
fn the_protobuf_form_says_the_same() {
    let document = v2::document(&Scheme::builtin(), "v1.36.2");
    let bytes = v2_proto::encode(&document);
    assert_eq!(only(&bytes, 1), [b"2.0".to_vec()]);
    let paths = only(&only(&bytes, 8)[0], 2);
    assert_eq!(paths.len(), document["paths"].as_object().unwrap().len());
    let definitions = only(&only(&bytes, 9)[0], 1);
    assert_eq!(
        definitions.len(),
        document["definitions"].as_object().unwrap().len()
    );
    let pod = definitions
        .iter()
        .find(|d| only(d, 1)[0] == b"io.k8s.api.core.v1.Pod")
        .unwrap();
    let schema = &only(pod, 2)[0];
    let extension = &only(schema, 31)[0];
    assert_eq!(only(extension, 1)[0], b"x-kubernetes-group-version-kind");
    let yaml = only(&only(extension, 2)[0], 2);
    assert_eq!(yaml[0], br#"[{"group":"","kind":"Pod","version":"v1"}]"#);
    let properties = only(&only(schema, 25)[0], 1);
    assert_eq!(properties.len(), 5);
}
