//! StorageClass: a way to make volumes.
//! Kubernetes: `pkg/apis/storage/{v1,validation}`, `pkg/registry/storage/storageclass`.

use super::{kept, parameters, provisioner};
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{set, set_null};
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("storage.k8s.io", "v1", "StorageClass"),
    "StorageClassList",
    ("storageclasses", "storageclass"),
    SchemaSource::of::<k8s_openapi::api::storage::v1::StorageClass>(),
    &StorageClassStrategy,
)
.short_names(const { &[text("sc")] })
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Provisioner", "Who makes the volumes."),
            Column::new("ReclaimPolicy", "What becomes of a volume after its claim."),
            Column::new("VolumeBindingMode", "When a volume is made."),
            Column::new("AllowVolumeExpansion", "Whether volumes can grow."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"provisioner":"wkube.io/local"}"#);

/// Annotations that make a class the default one.
const DEFAULT: &[&str] = &[
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// What a StorageClass does beyond its shape.
pub struct StorageClassStrategy;

impl Strategy for StorageClassStrategy {
    fn default(&self, class: &mut Object) {
        set(class.fields_mut(), "reclaimPolicy", json!("Delete"));
        set_null(class.fields_mut(), "volumeBindingMode", json!("Immediate"));
    }

    fn validate(&self, class: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        provisioner(&At::of(class, "provisioner"), &mut errors);
        parameters(&At::of(class, "parameters"), true, &mut errors);
        errors.one_of(&At::of(class, "reclaimPolicy"), &["Delete", "Retain"]);
        errors.one_of(
            &At::of(class, "volumeBindingMode"),
            &["Immediate", "WaitForFirstConsumer"],
        );
        for term in At::of(class, "allowedTopologies").items() {
            topology(&term.field("matchLabelExpressions"), &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for field in ["parameters", "provisioner", "reclaimPolicy"] {
            kept(&At::of(new, field), old.get(&[field]), &mut errors);
        }
        let mode = At::of(new, "volumeBindingMode");
        let before = old.get(&["volumeBindingMode"]).unwrap_or(&Value::Null);
        errors.immutable(&mode, before);
        errors.0
    }
}

fn topology(expressions: &At<'_, '_>, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for expression in expressions.items() {
        let (key, values) = (expression.field("key"), expression.field("values"));
        if values.is_empty() {
            errors.required(&values, "");
        }
        for (index, value) in values.items().enumerate() {
            if values.values().take(index).any(|one| one == value.value) {
                errors.duplicate(&value);
            }
        }
        errors.invalid_all(&key, names::qualified_name(key.str()));
        if seen.contains(&key.str()) {
            errors.duplicate(&key);
        }
        seen.push(key.str());
    }
}

/// The name of a class, and whether it is the default.
pub(super) fn name_cell(class: &Object, annotations: &[&str]) -> String {
    let is_default = annotations
        .iter()
        .any(|name| class.annotation(name) == Some("true"));
    format!(
        "{}{}",
        class.name(),
        if is_default { " (default)" } else { "" }
    )
}

fn row(class: &Object, now: Timestamp) -> Vec<Value> {
    let mode = match class.str_at(&["volumeBindingMode"]) {
        "" => "<unset>",
        mode => mode,
    };
    vec![
        json!(name_cell(class, DEFAULT)),
        json!(class.str_at(&["provisioner"])),
        json!(class.str_at(&["reclaimPolicy"])),
        json!(mode),
        json!(At::of(class, "allowVolumeExpansion").bool()),
        columns::age(class, now),
    ]
}
