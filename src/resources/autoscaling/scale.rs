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

/// Where a custom kind keeps the numbers of its scale: paths of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// How many are wanted.
    pub wanted: Vec<String>,
    /// How many there are.
    pub present: Vec<String>,
    /// What selects them, as a query.
    pub selector: Option<Vec<String>>,
}

impl ScalePaths {
    /// From `.spec.replicas` and its like.
    pub fn new(wanted: &str, present: &str, selector: Option<&str>) -> Self {
        let steps = |path: &str| {
            let path = path.strip_prefix('.').unwrap_or(path);
            path.split('.').map(str::to_owned).collect()
        };
        Self {
            wanted: steps(wanted),
            present: steps(present),
            selector: selector.filter(|path| !path.is_empty()).map(steps),
        }
    }

    /// Whether the wanted number is set.
    pub fn is_set(&self, object: &Object) -> bool {
        at(object, &self.wanted).is_some()
    }

    /// `.spec.replicas`.
    pub fn wanted_path(&self) -> String {
        format!(".{}", self.wanted.join("."))
    }
}

fn at<'v>(object: &'v Object, path: &[String]) -> Option<&'v Value> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    object.get(&path)
}

/// The scale of an object; custom kinds say where it is.
pub fn of(object: &Object, paths: Option<&ScalePaths>) -> Object {
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
    let count = |path: &[String]| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let wanted = paths.map_or_else(|| replicas(object, "spec"), |p| count(&p.wanted));
    let present = paths.map_or_else(|| replicas(object, "status"), |p| count(&p.present));
    // Kubernetes leaves a zero out of the spec, and writes it into the status.
    scale.set(&["spec"], json!({}));
    if wanted != 0 {
        scale.set(&["spec", "replicas"], wanted.into());
    }
    scale.set(&["status", "replicas"], present.into());
    let selector = match paths {
        None => selector(object.get(&["spec", "selector"])),
        Some(paths) => {
            let text = paths.selector.as_ref().and_then(|path| at(object, path));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector.into());
    }
    scale
}

/// Writes the wanted number of a scale into its object.
pub fn take(object: &mut Object, scale: &Object, paths: Option<&ScalePaths>) {
    set_wanted(object, replicas(scale, "spec"), paths);
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

/// Writes the wanted number where the kind keeps it.
pub fn set_wanted(object: &mut Object, wanted: i64, paths: Option<&ScalePaths>) {
    match paths {
        None => object.set(&["spec", "replicas"], wanted.into()),
        Some(paths) => {
            let path: Vec<&str> = paths.wanted.iter().map(String::as_str).collect();
            object.set(&path, wanted.into());
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
