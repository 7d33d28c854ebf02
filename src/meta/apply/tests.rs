//! Ownership: the stories of two managers and one object, and the laws of apply.

use super::*;
use crate::meta::schema_node::testing::TestNode;
use crate::meta::{ApiError, Object};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn schema() -> TestNode {
    let port = json!({"closed": true, "fields": {
        "port": {}, "protocol": {"default": "TCP"}, "name": {}}});
    let container = json!({"closed": true, "fields": {
        "name": {}, "image": {}, "args": {"items": {}},
        "env": {"list": ["name"], "items": {"fields": {"name": {}, "value": {}}}},
        "ports": {"list": ["port", "protocol"], "items": port},
    }});
    TestNode::new(&json!({"closed": true, "fields": {
        "apiVersion": {}, "kind": {},
        "metadata": {"closed": true, "fields": {
            "name": {}, "namespace": {}, "uid": {}, "creationTimestamp": {},
            "resourceVersion": {}, "managedFields": {"items": {}},
            "labels": {"values": {}}, "annotations": {"values": {}},
            "finalizers": {"list": "set", "items": {}}}},
        "spec": {"closed": true, "fields": {
            "replicas": {}, "selector": {"atomic": true, "values": {}},
            "containers": {"list": ["name"], "items": container}}},
        "status": {"fields": {"ready": {}}},
    }}))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

struct World {
    schema: TestNode,
    reset: FieldSet,
    live: Option<Object>,
    time: i64,
}

impl World {
    fn new() -> Self {
        Self {
            schema: schema(),
            reset: FieldSet::of_fields(&[&["status"]]),
            live: None,
            time: 0,
        }
    }

    fn by<'a>(&'a self, manager: &'a str) -> Tracking<'a> {
        Tracking {
            manager,
            api_version: "v1",
            subresource: "",
            now: at(self.time),
            schema: Some(&self.schema),
            reset: &self.reset,
            versions: None,
        }
    }

    fn config(body: Value) -> Object {
        let mut object = Object::from_value(body).unwrap();
        object.set(&["apiVersion"], json!("v1"));
        object.set(&["kind"], json!("Thing"));
        object.set(&["metadata", "name"], json!("x"));
        object
    }

    fn apply(&mut self, manager: &str, body: Value, force: bool) -> Result<(), ApiError> {
        self.time += 1;
        let config = Self::config(body);
        let merged = apply(self.live.as_ref(), &config, &self.by(manager), force)?;
        self.live = Some(merged);
        self.stored();
        Ok(())
    }

    fn update(&mut self, manager: &str, body: Value) {
        self.time += 1;
        let mut object = Self::config(body);
        update(self.live.as_ref(), &mut object, &self.by(manager));
        self.live = Some(object);
        self.stored();
    }

    fn stored(&mut self) {
        if let Some(live) = &mut self.live {
            live.set(&["metadata", "uid"], json!("u"));
        }
    }

    fn get(&self, path: &str) -> Value {
        let live = self.live.clone().unwrap().into_value();
        live.pointer(path).cloned().unwrap_or(Value::Null)
    }

    fn owned(&self, manager: &str) -> Vec<String> {
        let managed = ManagedFields::read(self.live.as_ref().unwrap()).unwrap();
        let entries = managed.entries.iter().filter(|e| e.manager == manager);
        entries
            .flat_map(|e| e.fields.paths())
            .map(|p| p.iter().map(ToString::to_string).collect())
            .collect()
    }
}

#[test]
fn an_apply_owns_what_it_says_and_takes_back_what_it_no_longer_says() {
    let mut world = World::new();
    let containers = json!([{"name": "a", "image": "i", "ports": [{"port": 80}]}]);
    world
        .apply(
            "me",
            json!({"spec": {"replicas": 1, "containers": containers}}),
            false,
        )
        .unwrap();
    assert_eq!(
        world.owned("me"),
        [
            ".spec.containers[name=\"a\"]",
            ".spec.containers[name=\"a\"].image",
            ".spec.containers[name=\"a\"].name",
            ".spec.containers[name=\"a\"].ports[port=80,protocol=\"TCP\"]",
            ".spec.containers[name=\"a\"].ports[port=80,protocol=\"TCP\"].port",
            ".spec.replicas",
        ]
    );
    world
        .apply(
            "me",
            json!({"spec": {"containers": [{"name": "a", "image": "j"}]}}),
            false,
        )
        .unwrap();
    assert_eq!(
        world.get("/spec"),
        json!({"containers": [{"name": "a", "image": "j"}]})
    );
    world
        .apply("me", json!({"metadata": {"labels": {"l": "1"}}}), false)
        .unwrap();
    assert_eq!(world.get("/spec"), Value::Null);
    assert_eq!(world.owned("me"), [".metadata.labels.l"]);
}

#[test]
fn what_others_own_stays() {
    let mut world = World::new();
    let one = json!({"spec": {"containers": [
        {"name": "a", "image": "i", "env": [{"name": "X", "value": "1"}]}]}});
    world.apply("one", one, false).unwrap();
    let two = json!({"spec": {"containers": [
        {"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "b", "image": "k"}]}});
    world.apply("two", two, false).unwrap();
    assert_eq!(
        world.get("/spec/containers"),
        json!([
            {"name": "a", "image": "i",
             "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "b", "image": "k"},
        ])
    );
    world
        .apply("one", json!({"metadata": {"labels": {"q": "1"}}}), false)
        .unwrap();
    assert_eq!(
        world.get("/spec/containers"),
        json!([
            {"name": "a", "env": [{"name": "Y", "value": "2"}]},
            {"name": "b", "image": "k"},
        ])
    );
    world.apply("two", json!({}), false).unwrap();
    assert_eq!(world.get("/spec"), Value::Null);
}

#[test]
fn conflicts_say_who_and_where() {
    let mut world = World::new();
    world.update("kubectl", json!({"spec": {"replicas": 1}}));
    let wanted = json!({"spec": {"replicas": 2}});
    let error = world.apply("me", wanted.clone(), false).unwrap_err();
    assert_eq!(
        (error.code, error.reason),
        (409, crate::meta::Reason::Conflict)
    );
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .spec.replicas"
    );
    assert_eq!(
        error.details["causes"],
        json!([{"reason": "FieldManagerConflict",
            "message": "conflict with \"kubectl\" using v1", "field": ".spec.replicas"}])
    );
    world.apply("me", wanted, true).unwrap();
    assert_eq!(world.owned("kubectl"), [".spec"]);
    // The same value is owned by both, without a conflict.
    world
        .apply(
            "you",
            json!({"spec": {"replicas": 2, "selector": {"a": "b"}}}),
            false,
        )
        .unwrap();
    let many = json!({"spec": {"replicas": 3, "selector": {"a": "c"}}});
    let error = world.apply("she", many, false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 3 conflicts: conflicts with \"me\":\n- .spec.replicas\n\
         conflicts with \"you\":\n- .spec.replicas\n- .spec.selector"
    );
}

#[test]
fn updates_take_what_they_change() {
    let mut world = World::new();
    world
        .apply(
            "me",
            json!({"spec": {"replicas": 1, "selector": {"a": "b"}}}),
            false,
        )
        .unwrap();
    let labels = json!({"l": "1"});
    world.update(
        "you",
        json!({"spec": {"replicas": 2, "selector": {"a": "b"}}, "metadata": {"labels": labels}}),
    );
    assert_eq!(world.owned("me"), [".spec.selector"]);
    assert_eq!(
        world.owned("you"),
        [".metadata.labels", ".metadata.labels.l", ".spec.replicas"]
    );
    let before = world.get("/metadata/managedFields");
    world.update(
        "you",
        json!({"spec": {"replicas": 2, "selector": {"a": "b"}}, "metadata": {"labels": labels}}),
    );
    assert_eq!(world.get("/metadata/managedFields"), before);
    world.update(
        "they",
        json!({"spec": {"replicas": 2, "selector": {"a": "b"}}}),
    );
    assert_eq!(world.owned("you"), [".spec.replicas"]);
    assert_eq!(world.owned("they"), Vec::<String>::new());
}

#[test]
fn entries_look_like_kubernetes_own() {
    let mut world = World::new();
    let spec = json!({"containers": [{"name": "a", "image": "i", "args": ["x"]}]});
    world.update(
        "me",
        json!({"spec": spec, "metadata": {"finalizers": ["f/x"]}}),
    );
    assert_eq!(
        world.get("/metadata/managedFields"),
        json!([{
            "manager": "me", "operation": "Update", "apiVersion": "v1",
            "time": "1970-01-01T00:00:01Z", "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:finalizers": {".": {}, "v:\"f/x\"": {}}},
                "f:spec": {".": {}, "f:containers": {".": {}, "k:{\"name\":\"a\"}":
                    {".": {}, "f:args": {}, "f:image": {}, "f:name": {}}}},
            },
        }])
    );
    let managed = ManagedFields::read(world.live.as_ref().unwrap()).unwrap();
    let fields = managed.entries[0].fields.clone();
    assert_eq!(
        FieldSet::from_fields_v1(&fields.to_fields_v1()),
        Some(fields)
    );
}

#[test]
fn status_belongs_to_its_subresource() {
    let mut world = World::new();
    world
        .apply(
            "me",
            json!({"spec": {"replicas": 1}, "status": {"ready": true}}),
            false,
        )
        .unwrap();
    assert_eq!(world.owned("me"), [".spec.replicas"]);
    let reset = FieldSet::of_fields(&[&["spec"], &["metadata"]]);
    let by = Tracking {
        subresource: "status",
        reset: &reset,
        versions: None,
        ..world.by("kubelet")
    };
    let mut new = world.live.clone().unwrap();
    new.set(&["status", "ready"], json!(false));
    new.set(&["spec", "replicas"], json!(9));
    update(world.live.as_ref(), &mut new, &by);
    let managed = ManagedFields::read(&new).unwrap();
    let entry = managed
        .entries
        .iter()
        .find(|e| e.manager == "kubelet")
        .unwrap();
    assert_eq!(entry.fields, FieldSet::of_fields(&[&["status", "ready"]]));
    assert_eq!(entry.subresource, "status");
}

#[test]
fn the_last_client_side_apply_is_taken_over_by_kubectl() {
    let mut world = World::new();
    let last = json!({"metadata": {"annotations": {}}, "spec": {"replicas": 1}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    world.update(
        "kubectl-client-side-apply",
        json!({"metadata": {"annotations": annotations}, "spec": {"replicas": 1}}),
    );
    assert!(
        world
            .apply("other", json!({"spec": {"replicas": 2}}), false)
            .is_err()
    );
    world
        .apply("kubectl", json!({"spec": {"replicas": 2}}), false)
        .unwrap();
    assert_eq!(world.get("/spec/replicas"), 2);
    let text = world.get("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
    assert!(text.as_str().unwrap().contains("\"replicas\":2"));
}

#[test]
fn a_name_does_not_go_with_the_last_label() {
    let mut world = World::new();
    let labelled = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
    world.apply("me", labelled, false).unwrap();
    let plain = json!({"metadata": {"name": "x"}, "spec": {"replicas": 1}});
    world.apply("me", plain, false).unwrap();
    assert_eq!(world.get("/metadata/name"), "x");
    assert_eq!(world.get("/metadata/labels"), Value::Null);
    world
        .apply("me", json!({"metadata": {"name": "x"}}), false)
        .unwrap();
    assert_eq!(world.get("/metadata/name"), "x");
    assert_eq!(world.get("/spec/replicas"), Value::Null);
}

#[test]
fn wrong_configurations_are_refused() {
    let mut world = World::new();
    let error = world
        .apply("me", json!({"spec": {"foo": 1}}), false)
        .unwrap_err();
    assert_eq!(
        error.message,
        "failed to create typed patch object (/x; /v1, Kind=Thing): .spec.foo: field not declared \
         in schema"
    );
    let twice = json!({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}});
    let error = world.apply("me", twice, false).unwrap_err();
    assert!(
        error
            .message
            .ends_with(".spec.containers: duplicate entries for key [name=\"a\"]"),
        "{}",
        error.message
    );
    let nameless = json!({"spec": {"containers": [{"image": "a"}]}});
    let error = world.apply("me", nameless, false).unwrap_err();
    assert!(error.message.contains("omits key field \"name\""));
    let claimed = json!({"metadata": {"managedFields": [{}]}});
    assert_eq!(world.apply("me", claimed, false).unwrap_err().code, 400);
}

#[test]
fn managed_fields_can_be_reset_and_are_capped() {
    let mut world = World::new();
    for n in 0..15 {
        world.update(
            &format!("m{n:02}"),
            json!({"metadata": {"labels": {format!("l{n}"): "1"}}}),
        );
    }
    let entries = world.get("/metadata/managedFields");
    assert!(entries.as_array().unwrap().len() <= 10);
    world.live.as_mut().unwrap().remove(&["metadata", "labels"]);
    let reset = json!({"metadata": {"managedFields": [{}]}});
    world.update("me", reset);
    assert_eq!(world.get("/metadata/managedFields"), Value::Null);
}

#[test]
fn an_object_that_nobody_tracked() {
    let mut world = World::new();
    let mut old = World::config(json!({"spec": {"replicas": 1}}));
    old.set(&["metadata", "uid"], json!("u"));
    world.live = Some(old);
    world.update("me", json!({"spec": {"replicas": 2}}));
    assert_eq!(world.get("/metadata/managedFields"), Value::Null);
    let error = world.apply("me", json!({"spec": {"replicas": 3}}), false);
    assert_eq!(
        error.unwrap_err().message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: \
         .spec.replicas"
    );
}

fn config() -> impl Strategy<Value = Value> {
    let env = proptest::collection::btree_map("[XYZ]", "[12]", 1..3).prop_map(|map| {
        let item = |(k, v)| json!({"name": k, "value": v});
        Value::Array(map.into_iter().map(item).collect())
    });
    let container = (proptest::option::of("[ij]"), proptest::option::of(env));
    let containers = proptest::collection::btree_map("[abc]", container, 0..3).prop_map(|map| {
        let item = |(name, (image, env)): (String, (Option<String>, Option<Value>))| {
            let mut item = json!({"name": name});
            if let Some(image) = image {
                item["image"] = json!(image);
            }
            if let Some(env) = env {
                item["env"] = env;
            }
            item
        };
        Value::Array(map.into_iter().map(item).collect())
    });
    let labels = proptest::collection::btree_map("[lmn]", "[12]", 0..3);
    (labels, containers, proptest::option::of(0..3_i32)).prop_map(|(labels, list, replicas)| {
        // An empty map or list is a value of its own, which somebody may own beside its items.
        let mut config = json!({"metadata": {}, "spec": {"selector": {"s": "1"}}});
        if !labels.is_empty() {
            config["metadata"]["labels"] = json!(labels);
        }
        if list != json!([]) {
            config["spec"]["containers"] = list;
        }
        if let Some(replicas) = replicas {
            config["spec"]["replicas"] = json!(replicas);
        }
        config
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in config(), second in config()) {
        let mut world = World::new();
        world.apply("a", first, true).unwrap();
        world.apply("b", second.clone(), true).unwrap();
        let once = world.live.clone();
        world.apply("b", second, true).unwrap();
        prop_assert_eq!(world.live, once);
    }

    #[test]
    fn what_one_manager_no_longer_applies_is_gone(first in config(), second in config()) {
        let mut world = World::new();
        world.apply("a", first, true).unwrap();
        world.apply("a", second.clone(), true).unwrap();
        let mut fresh = World::new();
        fresh.apply("a", second, true).unwrap();
        let set = |world: &World| {
            let mut object = world.live.clone().unwrap();
            strip_managed_fields(&mut object);
            to_set(&object.into_value(), Some(&world.schema))
        };
        prop_assert!(set(&world).difference(&set(&fresh)).is_empty());
        prop_assert_eq!(world.owned("a"), fresh.owned("a"));
    }

    #[test]
    fn what_others_own_is_kept(mine in config(), theirs in config()) {
        let mut world = World::new();
        world.apply("they", theirs, true).unwrap();
        world.apply("me", mine, true).unwrap();
        let owned = |world: &World| world.owned("they");
        let before = owned(&world);
        let kept = world.get("/metadata/labels");
        world.apply("me", json!({}), true).unwrap();
        prop_assert_eq!(owned(&world), before.clone());
        for path in before.iter().filter_map(|p| p.strip_prefix(".metadata.labels.")) {
            let label = format!("/metadata/labels/{path}");
            prop_assert_eq!(world.get(&label), kept[path].clone());
        }
    }

    #[test]
    fn an_apply_has_its_way(first in config(), second in config()) {
        let mut world = World::new();
        world.update("a", first);
        world.apply("b", second.clone(), true).unwrap();
        let config = World::config(second.clone()).into_value();
        let wanted = to_set(&config, Some(&world.schema));
        let found = to_set(&world.live.clone().unwrap().into_value(), Some(&world.schema));
        prop_assert!(wanted.difference(&found).is_empty());
        prop_assert_eq!(world.get("/spec/replicas").is_null(), second["spec"]["replicas"].is_null()
            && !world.owned("a").contains(&".spec.replicas".to_owned()));
    }

    #[test]
    fn set_algebra(a in config(), b in config()) {
        let schema = schema();
        let (a, b) = (to_set(&a, Some(&schema)), to_set(&b, Some(&schema)));
        prop_assert_eq!(a.clone().union(b.clone()), b.clone().union(a.clone()));
        prop_assert_eq!(a.clone().difference(&b).union(a.intersection(&b)), a.clone());
        prop_assert!(a.clone().difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(FieldSet::from_fields_v1(&a.to_fields_v1()), Some(a));
    }

    #[test]
    fn reading_sets_never_panics(text in "[fkvi.:{}\"a0\\[\\],]{0,24}") {
        let _ = FieldSet::from_fields_v1(&json!({text: {}}));
    }
}
