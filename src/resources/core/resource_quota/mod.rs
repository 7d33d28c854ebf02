//! ResourceQuota: how much all that is in a namespace may ask for. Must not count it.
//! Kubernetes: `pkg/apis/core/validation` ValidateResourceQuota.

mod scopes;
pub mod usage;

use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::resources;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ResourceQuota"),
    "ResourceQuotaList",
    ("resourcequotas", "resourcequota"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ResourceQuota>(),
    &ResourceQuotaStrategy,
)
.short_names(const { &[text("quota")] })
.subresources(const { &[Subresource::new("status", "ResourceQuota", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Request", "What is used of what may be asked for."),
            Column::new("Limit", "What is used of what limits may sum up to."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"spec":{"hard":{"pods":"2"}}}"#);

/// Names that stand for numbers of objects.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// What a ResourceQuota does beyond its shape.
pub struct ResourceQuotaStrategy;

impl Strategy for ResourceQuotaStrategy {
    fn default(&self, quota: &mut Object) {
        for field in ["spec", "status"] {
            if quota.get(&[field]).is_none() {
                quota.set(&[field], json!({}));
            }
        }
    }

    fn prepare_for_create(&self, quota: &mut Object) {
        quota.set(&["status"], json!({}));
    }

    fn validate(&self, quota: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(quota, "spec");
        hard(&spec.field("hard"), &mut errors);
        scopes::validate(&spec, &mut errors);
        scopes::validate_selector(&spec, &mut errors);
        let status = At::of(quota, "status");
        for field in ["hard", "used"] {
            hard(&status.field(field), &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Status {
            if new.resource_version().is_empty() {
                errors.required(&At::root(&Value::Null, "resourceVersion"), "");
            }
            let status = At::of(new, "status");
            for field in ["hard", "used"] {
                hard(&status.field(field), &mut errors);
            }
            return errors.0;
        }
        let spec = At::of(new, "spec");
        hard(&spec.field("hard"), &mut errors);
        scopes::validate(&spec, &mut errors);
        scopes::validate_selector(&spec, &mut errors);
        let before = At::of(old, "spec");
        let (now, before) = (spec.field("scopes"), before.field("scopes"));
        let set = |list: &At<'_, '_>| -> BTreeSet<String> {
            list.items().map(|scope| scope.str().to_owned()).collect()
        };
        if set(&now) != set(&before) {
            errors.invalid(&now, "field is immutable");
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }
}

/// Checks names and amounts.
fn hard(map: &At<'_, '_>, errors: &mut Errors) {
    for (name, value) in map.entries() {
        let at = map.key(name);
        resources::known_name(&at, name, errors);
        if !name.contains('/') && !is_of_quotas(name) {
            errors.invalid_as(&at, name, "must be a standard resource for quota");
        }
        let Ok(amount) = Quantity::from_value(value) else {
            continue;
        };
        if amount.is_negative() {
            let detail = "must be greater than or equal to 0";
            errors.invalid_as(&at, amount.to_string(), detail);
        }
        let counted = COUNTED.contains(&name) || resources::is_extended(name);
        if counted && !amount.is_integer() {
            errors.invalid_as(&at, amount.to_string(), "must be an integer");
        }
    }
}

/// Whether a quota may have the name, which has no domain.
fn is_of_quotas(name: &str) -> bool {
    name != "storage" && resources::is_standard(name)
}

fn row(quota: &Object, now: Timestamp) -> Vec<Value> {
    let status = At::of(quota, "status");
    let (hard, used) = (status.field("hard"), status.field("used"));
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, most) in hard.entries() {
        let used = used.value.get(name).and_then(Value::as_str).unwrap_or("0");
        let text = format!("{name}: {used}/{}", most.as_str().unwrap_or("0"));
        if name.starts_with("limits.") {
            limits.push(text);
        } else {
            requests.push(text);
        }
    }
    vec![
        json!(quota.name()),
        json!(requests.join(", ")),
        json!(limits.join(", ")),
        columns::age(quota, now),
    ]
}
