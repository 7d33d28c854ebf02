//! ResourceClaim: devices that somebody asks for.
//! Kubernetes: `pkg/apis/resource/{v1,validation}`, `pkg/registry/resource/resourceclaim`.

use super::requests;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::child;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("resource.k8s.io", "v1", "ResourceClaim"),
    "ResourceClaimList",
    ("resourceclaims", "resourceclaim"),
    SchemaSource::of::<k8s_openapi::api::resource::v1::ResourceClaim>(),
    &ResourceClaimStrategy,
)
.subresources(const { &[Subresource::new("status", "ResourceClaim", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("State", "Whether devices are allocated and reserved."),
            columns::age_column(),
        ]
    },
    row,
)
// What an apply owns as a whole stands here with its defaults, so that applying it again changes nothing.
.example(
    r#"{"metadata":{"name":"example"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c","allocationMode":"ExactCount","count":1}}]}}}"#,
);

/// Most users of a claim.
const RESERVED_MAX: usize = 256;

/// What a ResourceClaim does beyond its shape.
pub struct ResourceClaimStrategy;

impl Strategy for ResourceClaimStrategy {
    fn default(&self, claim: &mut Object) {
        if let Some(spec) = child(claim.fields_mut(), "spec") {
            requests::default(spec);
        }
    }

    fn prepare_for_create(&self, claim: &mut Object) {
        claim.set(&["status"], json!({}));
    }

    fn validate(&self, claim: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        requests::validate(&At::of(claim, "spec"), &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Main {
            let before = old.get(&["spec"]).unwrap_or(&Value::Null);
            errors.immutable(&At::of(new, "spec"), before);
        } else {
            status(new, old, &mut errors);
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }
}

fn status(new: &Object, old: &Object, errors: &mut Errors) {
    let status = At::of(new, "status");
    let (allocation, users) = (status.field("allocation"), status.field("reservedFor"));
    if users.len() > RESERVED_MAX {
        errors.too_many(&users, RESERVED_MAX);
    }
    let mut seen = BTreeSet::new();
    for user in users.items() {
        for field in ["resource", "name", "uid"] {
            if user.field(field).str().is_empty() {
                errors.required(&user.field(field), "");
            }
        }
        let uid = user.field("uid");
        if !seen.insert(uid.str()) {
            errors.duplicate(&uid);
        }
    }
    if !users.is_empty() && !allocation.is_set() {
        let detail = "may not be specified when `allocated` is not set";
        errors.forbidden(&users, detail);
    }
    let before = old.get(&["status", "allocation"]);
    if before.is_some() && allocation.is_set() && before != Some(allocation.value) {
        errors.invalid(&allocation, "field is immutable");
    }
}

fn row(claim: &Object, now: Timestamp) -> Vec<Value> {
    let status = At::of(claim, "status");
    let mut states = Vec::new();
    let deleted = claim.deletion_timestamp().is_some();
    if deleted {
        states.push("deleted");
    }
    if status.field("allocation").is_set() {
        states.push("allocated");
        if !status.field("reservedFor").is_empty() {
            states.push("reserved");
        }
    } else if !deleted {
        states.push("pending");
    }
    vec![
        json!(claim.name()),
        json!(states.join(",")),
        columns::age(claim, now),
    ]
}
