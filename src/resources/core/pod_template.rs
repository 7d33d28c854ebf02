//! PodTemplate: a template that stands by itself.
//! Kubernetes: `pkg/apis/core/validation` ValidatePodTemplate, `pkg/registry/core/podtemplate`.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "PodTemplate"),
    "PodTemplateList",
    ("podtemplates", "podtemplate"),
    SchemaSource::of::<k8s_openapi::api::core::v1::PodTemplate>(),
    &PodTemplateStrategy,
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Containers", "Names of the template's containers."),
            Column::new("Images", "Images of the template's containers."),
            Column::new("Pod Labels", "The labels that pods get."),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"echo"}]}}}"#,
);

/// What a PodTemplate does beyond its shape.
pub struct PodTemplateStrategy;

impl Strategy for PodTemplateStrategy {
    fn default(&self, object: &mut Object) {
        template::default(object.fields_mut());
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        template::validate(&At::of(object, "template"), &mut errors);
        errors.0
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        match old {
            Some(old) if old.get(&["template"]) == new.get(&["template"]) => Vec::new(),
            _ => template::warnings(&At::of(new, "template")),
        }
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        new.get(&["template"]) != old.get(&["template"])
    }
}

fn row(object: &Object, _now: Timestamp) -> Vec<Value> {
    let of = At::of(object, "template");
    let (containers, images) = template::containers(&of);
    let meta = of.field("metadata");
    vec![
        json!(object.name()),
        json!(containers),
        json!(images),
        json!(template::labels_cell(&meta.field("labels"))),
    ]
}
