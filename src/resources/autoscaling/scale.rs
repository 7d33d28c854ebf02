//! Scale: how many pods a workload has and wants, in one form for all kinds that have a `scale`.
//! It is never stored, so it is no row of the table; reading and writing it is a view of the object.
//! Kubernetes: `pkg/apis/autoscaling`, `registry/apps/*/storage` ScaleREST.

use crate::meta::labels::Selector;
use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use serde_json::{Value, json};

/// Shape and checks of a Scale.
pub static DEF: ResourceDef = ResourceDef::new(
    ("autoscaling", "v1", "Scale"),
    "ScaleList",
    ("scales", "scale"),
    SchemaSource::of::<k8s_openapi::api::autoscaling::v1::Scale>(),
    &ScaleStrategy,
)
.verbs(&[Verb::Get, Verb::Patch, Verb::Update])
.storage_prefix("");

/// What a Scale does beyond its shape.
pub struct ScaleStrategy;

impl Strategy for ScaleStrategy {
    fn validate(&self, scale: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        errors.not_negative(&At::of(scale, "spec").field("replicas"));
        errors.0
    }
}

/// The scale of an object.
pub fn of(object: &Object) -> Object {
    let mut scale = Object::default();
    scale.set(&["kind"], "Scale".into());
    scale.set(&["apiVersion"], "autoscaling/v1".into());
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object.get(&["metadata", field]) {
            scale.set(&["metadata", field], value.clone());
        }
    }
    let wanted = replicas(object, "spec");
    // Kubernetes leaves a zero out of the spec, and writes it into the status.
    scale.set(&["spec"], json!({}));
    if wanted != 0 {
        scale.set(&["spec", "replicas"], wanted.into());
    }
    scale.set(&["status", "replicas"], replicas(object, "status").into());
    let selector = selector(object.get(&["spec", "selector"]));
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector.into());
    }
    scale
}

/// Writes the wanted number of a scale into its object.
pub fn take(object: &mut Object, scale: &Object) {
    object.set(&["spec", "replicas"], replicas(scale, "spec").into());
    for field in ["uid", "resourceVersion"] {
        // Absent means whatever it is.
        match scale.get(&["metadata", field]) {
            Some(value) => object.set(&["metadata", field], value.clone()),
            None => {
                object.remove(&["metadata", field]);
            }
        }
    }
}

fn replicas(object: &Object, part: &str) -> i64 {
    let count = object.get(&[part, "replicas"]);
    count.and_then(Value::as_i64).unwrap_or(0)
}

/// A selector as a query; older kinds have plain labels.
fn selector(value: Option<&Value>) -> String {
    let Some(Value::Object(fields)) = value else {
        return String::new();
    };
    let labelled = ["matchLabels", "matchExpressions"]
        .iter()
        .any(|name| fields.contains_key(*name));
    if labelled {
        let found = Selector::from_label_selector(value);
        return found.map(|s| s.to_string()).unwrap_or_default();
    }
    let labels = fields
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
    Selector::from_labels(labels).to_string()
}
