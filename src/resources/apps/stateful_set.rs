//! StatefulSet: numbered pods, each with a name and storage of its own.
//! Kubernetes: `pkg/apis/apps/{v1,validation}`, `pkg/registry/apps/statefulset`.

use super::rollout;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::persistent_volume_claim;
use crate::resources::core::pod::defaults::{child, objects, set, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, SCALE, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, masked};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apps", "v1", "StatefulSet"),
    "StatefulSetList",
    ("statefulsets", "statefulset"),
    SchemaSource::of::<k8s_openapi::api::apps::v1::StatefulSet>(),
    &StatefulSetStrategy,
)
.short_names(const { &[text("sts")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            SCALE,
            Subresource::new("status", "StatefulSet", PART_VERBS),
        ]
    },
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Ready", "Pods that are ready, of those that are wanted."),
            columns::age_column(),
            columns::CONTAINERS,
            columns::IMAGES,
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"selector":{"matchLabels":{"app":"a"}},"serviceName":"a","template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"echo"}]}}}}"#,
);

/// Fields of the spec that an update may change.
const CHANGEABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];
const FIXED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                     'template', 'updateStrategy', 'revisionHistoryLimit', \
                     'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Counts of the status.
const COUNTS: &[&str] = &[
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "observedGeneration",
    "collisionCount",
];

/// What a StatefulSet does beyond its shape.
pub struct StatefulSetStrategy;

impl Strategy for StatefulSetStrategy {
    fn default(&self, set_object: &mut Object) {
        let Some(spec) = child(set_object.fields_mut(), "spec") else {
            return;
        };
        set(spec, "podManagementPolicy", json!("OrderedReady"));
        if let Some(update) = child(spec, "updateStrategy") {
            set(update, "type", json!("RollingUpdate"));
            if update.get("type") == Some(&json!("RollingUpdate"))
                && let Some(rolling) = child(update, "rollingUpdate")
            {
                set_null(rolling, "partition", json!(0));
            }
        }
        if let Some(retention) = child(spec, "persistentVolumeClaimRetentionPolicy") {
            set(retention, "whenDeleted", json!("Retain"));
            set(retention, "whenScaled", json!("Retain"));
        }
        set_null(spec, "replicas", json!(1));
        set_null(spec, "revisionHistoryLimit", json!(10));
        template::default(spec);
        for claim in objects(spec, "volumeClaimTemplates") {
            claim.insert("apiVersion".to_owned(), json!("v1"));
            claim.insert("kind".to_owned(), json!("PersistentVolumeClaim"));
            persistent_volume_claim::default_claim(claim);
        }
    }

    fn prepare_for_create(&self, set: &mut Object) {
        set.set(&["status"], json!({"replicas": 0, "availableReplicas": 0}));
    }

    fn validate(&self, set: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(set, "spec");
        management(&spec, &mut errors);
        strategy(&spec, &mut errors);
        let retention = spec.field("persistentVolumeClaimRetentionPolicy");
        if retention.is_set() {
            for field in ["whenDeleted", "whenScaled"] {
                errors.one_of(&retention.field(field), &["Delete", "Retain"]);
            }
        }
        errors.not_negative(&spec.field("replicas"));
        errors.not_negative(&spec.field("minReadySeconds"));
        errors.not_negative(&spec.field("ordinals").field("start"));
        errors.not_negative(&spec.field("revisionHistoryLimit"));
        let service = spec.field("serviceName");
        if !service.str().is_empty() {
            errors.invalid_all(&service, names::dns1123_label(service.str()));
        }
        template::validate_selected(&spec, "statefulset", "StatefulSet", &mut errors);
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Main {
            errors.0.extend(self.validate(new));
            fixed(new, old, &mut errors);
            return errors.0;
        }
        let status = At::of(new, "status");
        rollout::counts(&status, COUNTS, &mut errors);
        let of_all = "cannot be greater than status.replicas";
        rollout::ordered(
            &status,
            &[
                ("readyReplicas", "replicas", of_all),
                ("currentReplicas", "replicas", of_all),
                ("updatedReplicas", "replicas", of_all),
                ("availableReplicas", "replicas", of_all),
                (
                    "availableReplicas",
                    "readyReplicas",
                    "cannot be greater than status.readyReplicas",
                ),
            ],
            &mut errors,
        );
        errors.0
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

    /// Pods are called after their set, and their names are labels of DNS.
    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns1123_label(&masked(name, prefix))
    }
}

fn management(spec: &At<'_, '_>, errors: &mut Errors) {
    let policy = spec.field("podManagementPolicy");
    match policy.str() {
        "" => errors.required(&policy, ""),
        "OrderedReady" | "Parallel" => {}
        _ => errors.invalid(&policy, "must be 'OrderedReady' or 'Parallel'"),
    }
}

fn strategy(spec: &At<'_, '_>, errors: &mut Errors) {
    let update = spec.field("updateStrategy");
    let (kind, rolling) = (update.field("type"), update.field("rollingUpdate"));
    match kind.str() {
        "" => errors.required(&update, ""),
        "OnDelete" => {
            if rolling.is_set() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.invalid(&rolling, detail);
            }
        }
        "RollingUpdate" => {
            errors.not_negative(&rolling.field("partition"));
            let unavailable = rolling.field("maxUnavailable");
            if unavailable.is_set() {
                rollout::amount(&unavailable, errors);
                if rollout::number(&unavailable) == 0 {
                    errors.invalid(&unavailable, "cannot be 0");
                }
                rollout::at_most_all(&unavailable, errors);
            }
        }
        _ => errors.invalid(&update, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

fn fixed(new: &Object, old: &Object, errors: &mut Errors) {
    let without = |object: &Object| {
        let mut spec = object.get(&["spec"]).cloned().unwrap_or_default();
        if let Value::Object(fields) = &mut spec {
            fields.retain(|name, _| !CHANGEABLE.contains(&name.as_str()));
        }
        spec
    };
    if without(new) != without(old) {
        errors.forbidden(&At::of(new, "spec"), FIXED);
    }
}

fn row(set: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(set, "spec"), At::of(set, "status"));
    let (containers, images) = template::containers(&spec.field("template"));
    let ready = status.field("readyReplicas").number();
    let wanted = spec.field("replicas").number();
    vec![
        json!(set.name()),
        json!(format!("{ready}/{wanted}")),
        columns::age(set, now),
        json!(containers),
        json!(images),
    ]
}
