//! ControllerRevision: a former state of a StatefulSet or a DaemonSet, which never changes.
//! Kubernetes: `pkg/apis/apps/validation` ValidateControllerRevision.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apps", "v1", "ControllerRevision"),
    "ControllerRevisionList",
    ("controllerrevisions", "controllerrevision"),
    SchemaSource::of::<k8s_openapi::api::apps::v1::ControllerRevision>(),
    &ControllerRevisionStrategy,
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Controller", "The object whose state this was."),
            Column::new("Revision", "The number of the state."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"data":{"spec":{}},"revision":1}"#);

/// What a ControllerRevision does beyond its shape.
pub struct ControllerRevisionStrategy;

impl Strategy for ControllerRevisionStrategy {
    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let data = At::of(object, "data");
        if !data.is_set() {
            errors.required(&data, "data is mandatory");
        }
        errors.not_negative(&At::of(object, "revision"));
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(self.validate(new));
        let before = old.get(&["data"]).unwrap_or(&Value::Null);
        errors.immutable(&At::of(new, "data"), before);
        errors.0
    }
}

fn row(object: &Object, now: Timestamp) -> Vec<Value> {
    let metadata = At::of(object, "metadata");
    let owners = metadata.field("ownerReferences");
    let controller = owners
        .items()
        .find(|owner| owner.field("controller").bool())
        .map(|owner| owner_name(&owner));
    vec![
        json!(object.name()),
        json!(controller.unwrap_or_else(|| "<none>".to_owned())),
        json!(At::of(object, "revision").number().to_string()),
        columns::age(object, now),
    ]
}

/// `statefulset.apps/name`.
fn owner_name(owner: &At<'_, '_>) -> String {
    let kind = owner.field("kind").str().to_ascii_lowercase();
    let name = owner.field("name").str();
    match owner.field("apiVersion").str().split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
