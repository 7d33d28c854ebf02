//! ResourceClaimTemplate: what the claims of a pod's own look like.
//! Kubernetes: `pkg/registry/resource/resourceclaimtemplate`.

use super::requests;
use crate::meta::{FieldError, Object};
use crate::resources::core::pod::defaults::child;
use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, metadata};
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("resource.k8s.io", "v1", "ResourceClaimTemplate"),
    "ResourceClaimTemplateList",
    ("resourceclaimtemplates", "resourceclaimtemplate"),
    SchemaSource::of::<k8s_openapi::api::resource::v1::ResourceClaimTemplate>(),
    &ResourceClaimTemplateStrategy,
)
// What an apply owns as a whole stands here with its defaults, so that applying it again changes nothing.
.example(
    r#"{"metadata":{"name":"example"},"spec":{"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c","allocationMode":"ExactCount","count":1}}]}}}}"#,
);

/// What a ResourceClaimTemplate does beyond its shape.
pub struct ResourceClaimTemplateStrategy;

impl Strategy for ResourceClaimTemplateStrategy {
    fn default(&self, template: &mut Object) {
        if let Some(claim) = child(template.fields_mut(), "spec")
            && let Some(spec) = child(claim, "spec")
        {
            requests::default(spec);
        }
    }

    fn validate(&self, template: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let claim = At::of(template, "spec");
        let meta = claim.field("metadata");
        metadata::labels(&meta.field("labels"), &mut errors);
        metadata::annotations(&meta.field("annotations"), &mut errors);
        requests::validate(&claim.field("spec"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let before = old.get(&["spec"]).unwrap_or(&Value::Null);
        errors.immutable(&At::of(new, "spec"), before);
        errors.0
    }
}
