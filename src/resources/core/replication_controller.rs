//! ReplicationController: what a ReplicaSet was before it.
//! Kubernetes: `pkg/apis/core/{v1,validation}`, `pkg/registry/core/replicationcontroller`.

use crate::meta::labels::Selector;
use crate::meta::{FieldError, Object};
use crate::resources::apps::replica_set::{self, COLUMNS, REPLICAS};
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{PART_VERBS, ResourceDef, SCALE, SelectableField, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ReplicationController"),
    "ReplicationControllerList",
    ("replicationcontrollers", "replicationcontroller"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ReplicationController>(),
    &ReplicationControllerStrategy,
)
.short_names(const { &[text("rc")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            SCALE,
            Subresource::new("status", "ReplicationController", PART_VERBS),
        ]
    },
)
.columns(COLUMNS, row)
.selectable_fields(const { &[REPLICAS] as &[SelectableField] })
.storage_prefix("controllers")
.example(
    r#"{"metadata":{"name":"example"},"spec":{"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"echo"}]}}}}"#,
);

/// What a ReplicationController does beyond its shape.
pub struct ReplicationControllerStrategy;

impl Strategy for ReplicationControllerStrategy {
    /// The template's labels are the selector and the labels where none are given.
    fn default(&self, controller: &mut Object) {
        let labels = controller
            .get(&["spec", "template", "metadata", "labels"])
            .cloned();
        if let Some(labels) = labels.filter(|l| l.as_object().is_some_and(|l| !l.is_empty())) {
            for path in [["spec", "selector"], ["metadata", "labels"]] {
                let empty = controller.get(&path).and_then(Value::as_object);
                if empty.is_none_or(serde_json::Map::is_empty) {
                    controller.set(&path, labels.clone());
                }
            }
        }
        if let Some(spec) = child(controller.fields_mut(), "spec") {
            set_null(spec, "replicas", json!(1));
            if spec.contains_key("template") {
                template::default(spec);
            }
        }
    }

    fn prepare_for_create(&self, controller: &mut Object) {
        controller.set(&["status"], json!({"replicas": 0}));
    }

    fn validate(&self, controller: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(controller, "spec");
        errors.not_negative(&spec.field("minReadySeconds"));
        let selector = spec.field("selector");
        if selector.is_empty() {
            errors.required(&selector, "");
        }
        errors.not_negative(&spec.field("replicas"));
        let labels = selector
            .entries()
            .map(|(key, value)| (key, value.as_str().unwrap_or_default()));
        let wanted = Selector::from_labels(labels);
        let template = spec.field("template");
        template::validate_matched(&template, &wanted, "ReplicationController", &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        match part {
            Part::Main => self.validate(new),
            _ => replica_set::validate_status(new),
        }
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let path = ["spec", "template"];
        if old.is_some_and(|old| old.get(&path) == new.get(&path)) {
            return Vec::new();
        }
        template::warnings(&At::of(new, "spec").field("template"))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    /// Clients from before garbage collection count on it.
    fn orphans_dependents(&self) -> bool {
        true
    }
}

fn row(controller: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(controller, "spec");
    let selector = template::labels_cell(&spec.field("selector"));
    replica_set::cells(controller, now, &selector)
}
