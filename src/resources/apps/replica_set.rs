//! ReplicaSet: so many pods of one template.
//! Kubernetes: `pkg/apis/apps/{v1,validation}`, `pkg/registry/apps/replicaset`.

use super::rollout;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{
    Column, PART_VERBS, ResourceDef, SCALE, SelectableField, Subresource, text,
};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apps", "v1", "ReplicaSet"),
    "ReplicaSetList",
    ("replicasets", "replicaset"),
    SchemaSource::of::<k8s_openapi::api::apps::v1::ReplicaSet>(),
    &ReplicaSetStrategy,
)
.short_names(const { &[text("rs")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            SCALE,
            Subresource::new("status", "ReplicaSet", PART_VERBS),
        ]
    },
)
.columns(COLUMNS, row)
.selectable_fields(const { &[REPLICAS] })
.example(
    r#"{"metadata":{"name":"example"},"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"echo"}]}}}}"#,
);

/// The columns, which a ReplicationController shares.
pub(crate) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::integer("Desired", "Pods that are wanted."),
    Column::integer("Current", "Pods that there are."),
    Column::integer("Ready", "Pods that are ready."),
    columns::age_column(),
    columns::CONTAINERS,
    columns::IMAGES,
    columns::SELECTOR,
];

/// The one field by which these can be selected; a ReplicationController shares it.
pub(crate) const REPLICAS: SelectableField = SelectableField {
    label: text("status.replicas"),
    value: crate::resources::def::FieldValue::Path(text("status.replicas"), text("0")),
};

/// What a ReplicaSet does beyond its shape.
pub struct ReplicaSetStrategy;

impl Strategy for ReplicaSetStrategy {
    fn default(&self, set: &mut Object) {
        if let Some(spec) = child(set.fields_mut(), "spec") {
            set_null(spec, "replicas", json!(1));
            template::default(spec);
        }
    }

    fn prepare_for_create(&self, set: &mut Object) {
        set.set(&["status"], json!({"replicas": 0}));
    }

    fn validate(&self, set: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(set, "spec");
        errors.not_negative(&spec.field("replicas"));
        errors.not_negative(&spec.field("minReadySeconds"));
        template::validate_selected(&spec, "deployment", "ReplicaSet", &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            let mut errors = Errors(self.validate(new));
            rollout::fixed_selector(new, old, &mut errors);
            return errors.0;
        }
        validate_status(new)
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        rollout::template_warnings(new, old)
    }

    fn has_status(&self) -> bool {
        true
    }

    fn tracks_generation(&self) -> bool {
        true
    }
}

/// Checks a status, which a ReplicationController shares.
pub(crate) fn validate_status(new: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let status = At::of(new, "status");
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
    ];
    rollout::counts(&status, &counts, &mut errors);
    let of_all = "cannot be greater than status.replicas";
    rollout::ordered(
        &status,
        &[
            ("fullyLabeledReplicas", "replicas", of_all),
            ("readyReplicas", "replicas", of_all),
            ("availableReplicas", "replicas", of_all),
            (
                "availableReplicas",
                "readyReplicas",
                "cannot be greater than readyReplicas",
            ),
        ],
        &mut errors,
    );
    errors.0
}

fn row(set: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(set, "spec");
    let selector = template::selector_cell(spec.field("selector").value);
    cells(set, now, &selector)
}

/// The cells, which a ReplicationController shares.
pub(crate) fn cells(set: &Object, now: Timestamp, selector: &str) -> Vec<Value> {
    let (spec, status) = (At::of(set, "spec"), At::of(set, "status"));
    let (containers, images) = template::containers(&spec.field("template"));
    vec![
        json!(set.name()),
        json!(spec.field("replicas").number()),
        json!(status.field("replicas").number()),
        json!(status.field("readyReplicas").number()),
        columns::age(set, now),
        json!(containers),
        json!(images),
        json!(selector),
    ]
}
