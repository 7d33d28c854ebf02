//! Kinds of the core group: what they refuse, what an update may not change, what their rows show;
//! and that nothing of it panics on what a stranger may send.

use crate::meta::Object;
use crate::meta::patch::strategic;
use crate::resources::{BUILTINS, Part, ResourceDef, Scheme};
use proptest::prelude::*;
use serde_json::{Value, json};

fn def(kind: &str) -> &'static ResourceDef {
    BUILTINS
        .iter()
        .find(|def| def.kind == kind && def.group != "events.k8s.io")
        .unwrap()
}

/// A stored object of a kind.
fn stored(kind: &str, body: Value) -> Object {
    let def = def(kind);
    let mut object = def.decode(body).unwrap().object;
    def.default(&mut object);
    def.prepare_for_create(&mut object);
    object
}

fn wrong(kind: &str, body: Value) -> Vec<String> {
    let errors = def(kind).validate(&stored(kind, body));
    errors.iter().map(ToString::to_string).collect()
}

fn wrong_update(kind: &str, old: &Object, change: impl FnOnce(&mut Object)) -> Vec<String> {
    let def = def(kind);
    let mut new = old.clone();
    change(&mut new);
    def.default(&mut new);
    def.prepare_for_update(Part::Main, &mut new, old);
    let errors = def.validate_update(Part::Main, &new, old);
    errors.iter().map(ToString::to_string).collect()
}

fn meta(extra: Value) -> Value {
    let mut metadata = json!({"name": "x", "namespace": "default"});
    let fields = metadata.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    metadata
}

/// What a case of `invalid.yaml` creates.
fn case_object(case: &Value) -> Value {
    if let Some(object) = case.get("object") {
        return object.clone();
    }
    let mut container = json!({"name": "c", "image": "i"});
    if let Some(Value::Object(extra)) = case.get("container") {
        container.as_object_mut().unwrap().extend(extra.clone());
    }
    let mut spec = json!({ "containers": [container] });
    if let Some(Value::Object(extra)) = case.get("spec") {
        spec.as_object_mut().unwrap().extend(extra.clone());
    }
    json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
}

fn case_errors(case: &Value) -> Vec<String> {
    let kind = case["kind"].as_str().unwrap();
    let def = match kind.split_once('/') {
        Some((group, kind)) => *BUILTINS
            .iter()
            .find(|def| def.kind == kind && def.group == group)
            .unwrap(),
        None => def(kind),
    };
    let mut body = case_object(case);
    if let Some(over) = case.get("example") {
        body = serde_json::from_str(&def.example).unwrap();
        json_patch::merge(&mut body, over);
    }
    let mut object = def.decode(body.clone()).unwrap().object;
    def.default(&mut object);
    def.prepare_for_create(&mut object);
    let found = match case.get("change") {
        None => def.validate(&object),
        Some(change) => {
            assert_eq!(def.validate(&object), [], "{case}");
            if let Some(Value::Object(status)) = case.get("status") {
                for (name, value) in status {
                    object.set(&["status", name], value.clone());
                }
            }
            if let Some(deleted) = body["metadata"].get("deletionTimestamp") {
                object.set(&["metadata", "deletionTimestamp"], deleted.clone());
            }
            let mut new = object.clone().into_value();
            json_patch::merge(&mut new, change);
            let mut new = def.decode(new).unwrap().object;
            def.default(&mut new);
            let part = case.get("part").and_then(Value::as_str).unwrap_or_default();
            let part = Part::of_subresource(part).unwrap();
            def.prepare_for_update(part, &mut new, &object);
            def.validate_update(part, &new, &object)
        }
    };
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_objects_are_refused_in_kubernetes_words() {
    let text = include_str!("../../../tests/golden/resources/invalid.yaml");
    let golden: Value = serde_yaml::from_str(text).unwrap();
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let mut wanted: Vec<String> = serde_json::from_value(case["errors"].clone()).unwrap();
        for text in &mut wanted {
            for (name, words) in golden["words"].as_object().unwrap() {
                *text = text.replace(&format!("{{{name}}}"), words.as_str().unwrap());
            }
        }
        let found = case_errors(case);
        if found != wanted {
            let missing = wanted.iter().filter(|text| !found.contains(text));
            let missing: Vec<String> = missing.map(|text| format!("- {text}")).collect();
            let more = found.iter().filter(|text| !wanted.contains(text));
            let more: Vec<String> = more.map(|text| format!("+ {text}")).collect();
            let lines = [missing, more].concat().join("\n");
            let order = found
                .iter()
                .zip(&wanted)
                .find(|(found, wanted)| found != wanted);
            wrong.push(format!("{case}\n{lines}\n{order:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn config_maps_and_secrets() {
    let errors = wrong(
        "ConfigMap",
        json!({"metadata": meta(json!({})), "data": {"a/b": "c"}}),
    );
    assert!(errors[0].starts_with("data[a/b]: Invalid value: \"a/b\": a valid config key must"));
    let large = "x".repeat(1024 * 1024 + 1);
    let errors = wrong(
        "ConfigMap",
        json!({"metadata": meta(json!({})), "data": {"a": large}}),
    );
    assert_eq!(errors, ["[]: Too long: may not be more than 1048576 bytes"]);
    let map = json!({"metadata": meta(json!({})), "data": {"a": "b"}, "immutable": true});
    let map = stored("ConfigMap", map);
    assert_eq!(
        wrong_update("ConfigMap", &map, |map| map.set(&["data", "a"], json!("c"))),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
    let tls = json!({"metadata": meta(json!({})), "type": "kubernetes.io/tls"});
    assert_eq!(
        wrong("Secret", tls),
        [
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value"
        ]
    );
    let secret = stored(
        "Secret",
        json!({"metadata": meta(json!({})), "stringData": {"a": "b"}}),
    );
    assert_eq!(secret.str_at(&["data", "a"]), "Yg==");
    assert_eq!(
        wrong_update("Secret", &secret, |secret| secret
            .set(&["type"], json!("x"))),
        ["type: Invalid value: \"x\": field is immutable"]
    );
}

#[test]
fn services() {
    let service = |spec: Value| json!({"metadata": meta(json!({})), "spec": spec});
    assert_eq!(
        wrong("Service", service(json!({}))),
        ["spec.ports: Required value"]
    );
    assert_eq!(
        wrong(
            "Service",
            service(json!({"ports": [{"port": 80}, {"port": 81}]}))
        ),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value"
        ]
    );
    assert_eq!(
        wrong(
            "Service",
            service(json!({"type": "x", "ports": [{"port": 0}]}))
        ),
        [
            "spec.type: Unsupported value: \"x\": supported values: \"ClusterIP\", \
             \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ]
    );
    let body = service(json!({"clusterIP": "10.0.0.1", "selector": {"a": "b"},
        "type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]}));
    let old = stored("Service", body);
    let errors = wrong_update("Service", &old, |service| {
        service.set(&["spec", "clusterIP"], json!("10.0.0.2"));
        service.set(&["spec", "clusterIPs"], json!(["10.0.0.2"]));
    });
    assert_eq!(
        errors,
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
    // What an update leaves out stays.
    let mut new = stored(
        "Service",
        service(json!({"type": "NodePort", "ports": [{"port": 80}]})),
    );
    new.remove(&["spec", "ipFamilies"]);
    def("Service").prepare_for_update(Part::Main, &mut new, &old);
    assert_eq!(new.str_at(&["spec", "clusterIP"]), "10.0.0.1");
    assert_eq!(new.get(&["spec", "ports"]).unwrap()[0]["nodePort"], 30000);
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    let row = def("Service").row(&old, now);
    assert_eq!(
        row,
        [
            json!("x"),
            json!("NodePort"),
            json!("10.0.0.1"),
            json!("<none>"),
            json!("80:30000/TCP"),
            json!("<unknown>"),
            json!("a=b"),
        ]
    );
}

#[test]
fn nodes_and_namespaces() {
    let node = json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}],
            "nodeInfo": {"kubeletVersion": "v1.36.2"},
        },
    });
    let mut node = def("Node").decode(node).unwrap().object;
    def("Node").default(&mut node);
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    let row = def("Node").row(&node, now);
    let texts: Vec<&str> = row.iter().filter_map(Value::as_str).collect();
    assert_eq!(
        texts,
        [
            "n",
            "Ready,SchedulingDisabled",
            "worker",
            "<unknown>",
            "v1.36.2",
            "10.0.0.9",
            "<none>",
            "<unknown>",
            "<unknown>",
            "<unknown>"
        ]
    );
    let taints = json!([{"key": "a", "effect": "Maybe"}]);
    node.set(&["spec", "taints"], taints);
    assert_eq!(
        def("Node").validate(&node)[0].to_string(),
        "metadata.taints[0].effect: Unsupported value: \"Maybe\": supported values: \
         \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""
    );
}

#[test]
fn a_strategic_patch_merges_containers_by_name() {
    let pod = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
    let patch = json!({"spec": {"containers": [{"name": "a", "image": "2"}]}});
    let root = def("Pod").schema.get().root();
    let merged = strategic::apply(pod, &patch, Some(root)).unwrap();
    assert_eq!(
        merged,
        json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}})
    );
}

#[test]
fn grace_is_kubernetes() {
    let pod =
        json!({"metadata": meta(json!({})), "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let mut pod = stored("Pod", pod);
    let grace = |pod: &Object, asked| def("Pod").grace_seconds(pod, asked);
    assert_eq!(
        grace(&pod, None),
        Some(0),
        "a pod without a node goes at once"
    );
    pod.set(&["spec", "nodeName"], json!("n"));
    assert_eq!(grace(&pod, None), Some(30));
    assert_eq!(grace(&pod, Some(5)), Some(5));
    assert_eq!(grace(&pod, Some(-1)), Some(1));
    pod.set(&["status", "phase"], json!("Failed"));
    assert_eq!(grace(&pod, None), Some(0));
    let map = stored("ConfigMap", json!({"metadata": meta(json!({}))}));
    assert_eq!(def("ConfigMap").grace_seconds(&map, Some(5)), None);
}

/// Any JSON, with names that kinds know.
fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "spec",
        "metadata",
        "status",
        "containers",
        "initContainers",
        "name",
        "image",
        "ports",
        "env",
        "valueFrom",
        "fieldRef",
        "volumes",
        "volumeMounts",
        "resources",
        "limits",
        "cpu",
        "affinity",
        "tolerations",
        "labels",
        "data",
        "type",
        "livenessProbe",
        "httpGet",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9/.:=-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        let name = proptest::sample::select(NAMES).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics_on_what_a_stranger_sends(spec in any_json(), metadata in any_json()) {
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        for def in Scheme::builtin().iter() {
            let body = json!({"metadata": metadata, "spec": spec, "data": spec});
            // What was decoded, and what was not: the second never reaches the rest, and may not
            // break it either.
            let decoded = def.decode(body.clone()).ok().map(|decoded| decoded.object);
            for object in decoded.into_iter().chain(Object::from_value(body)) {
                let mut new = object.clone();
                def.default(&mut new);
                def.prepare_for_create(&mut new);
                let _ = def.validate(&new);
                let _ = def.row(&new, now);
                def.prepare_for_update(Part::Main, &mut new, &object);
                let _ = def.validate_update(Part::Main, &new, &object);
                let _ = def.validate_update(Part::Status, &new, &object);
                let _ = def.warnings(&new, None);
            }
        }
    }
}

#[test]
fn a_port_of_the_host_network_without_a_number_gets_none() {
    let ports = json!([{"containerPort": 0}, {"containerPort": 80}]);
    let mut pod = Object::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "i", "ports": ports}]},
    }))
    .unwrap();
    let def = &super::pod::DEF;
    def.default(&mut pod);
    let containers = pod.get(&["spec", "containers"]).unwrap();
    assert_eq!(
        containers[0]["ports"],
        json!([{"containerPort": 0, "protocol": "TCP"},
            {"containerPort": 80, "hostPort": 80, "protocol": "TCP"}])
    );
    let stored = def.decode(pod.clone().into_value()).unwrap();
    assert_eq!(stored.object, pod);
}
