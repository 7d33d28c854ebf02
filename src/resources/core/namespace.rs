//! Namespace: where names are unique, and what is deleted as a whole.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{
    Column, PART_VERBS, ResourceDef, SelectableField, Subresource, Verb, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status, masked};
use crate::resources::validate::{At, Errors, metadata};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The finalizer in `spec` that the deletion of the contents takes off.
pub const FINALIZER: &str = "kubernetes";

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Namespace"),
    "NamespaceList",
    ("namespaces", "namespace"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Namespace>(),
    &NamespaceStrategy,
)
.short_names(const { &[text("ns")] })
.cluster_scoped()
.verbs(&[
    Verb::Create,
    Verb::Delete,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
])
.subresources(
    const {
        &[
            Subresource::new("finalize", "Namespace", &[Verb::Update]),
            Subresource::new("status", "Namespace", PART_VERBS),
        ]
    },
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Status", "The status of the namespace."),
            columns::age_column(),
        ]
    },
    row,
)
.selectable_fields(const { &[SelectableField::path("status.phase")] })
.example(r#"{"metadata":{"name":"example"}}"#);

/// The label that names the namespace, for selectors.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What a Namespace does beyond its shape.
pub struct NamespaceStrategy;

impl Strategy for NamespaceStrategy {
    fn default(&self, namespace: &mut Object) {
        // A generated name is not known yet; the label follows with the next defaulting.
        let name = namespace.name().to_owned();
        if !name.is_empty() {
            namespace.set(&["metadata", "labels", NAME_LABEL], json!(name));
        }
    }

    fn prepare_for_create(&self, namespace: &mut Object) {
        self.default(namespace);
        namespace.set(&["status"], json!({"phase": "Active"}));
        let finalizers = namespace.get(&["spec", "finalizers"]);
        let mut finalizers = finalizers
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if !finalizers.contains(&json!(FINALIZER)) {
            finalizers.push(json!(FINALIZER));
        }
        namespace.set(&["spec", "finalizers"], Value::Array(finalizers));
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        match part {
            Part::Main => {
                keep(new, old, "spec");
                keep(new, old, "status");
            }
            Part::Finalize => keep(new, old, "status"),
            _ => keep_all_but_status(new, old),
        }
    }

    fn validate(&self, namespace: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(namespace, "spec");
        let list = spec.field("finalizers");
        for item in list.items() {
            finalizer(&list, item.str(), &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, _old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Finalize {
            let spec = At::of(new, "spec");
            for item in spec.field("finalizers").items() {
                finalizer(&item, item.str(), &mut errors);
            }
            return errors.0;
        }
        let phase = new.str_at(&["status", "phase"]);
        let (wanted, when) = match new.deletion_timestamp() {
            Some(_) => ("Terminating", "not empty"),
            None => ("Active", "empty"),
        };
        if part == Part::Status && phase != wanted {
            let detail = format!("may only be '{wanted}' if `deletionTimestamp` is {when}");
            // The path is Kubernetes', capital letter and all.
            errors
                .0
                .push(FieldError::invalid("status.Phase", phase, detail));
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns1123_label(&masked(name, prefix))
    }
}

fn finalizer(at: &At<'_, '_>, text: &str, errors: &mut Errors) {
    for detail in names::qualified_name(text) {
        errors.invalid_as(at, text, detail);
    }
    metadata::finalizer(at, text, errors);
}

fn row(namespace: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(namespace.name()),
        json!(namespace.str_at(&["status", "phase"])),
        columns::age(namespace, now),
    ]
}
