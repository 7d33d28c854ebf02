//! Deployment: pods that are replaced step by step when their template changes.
//! Kubernetes: `pkg/apis/apps/{v1,validation}`, `pkg/registry/apps/deployment`.

use super::rollout;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, SCALE, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status};
use crate::resources::template;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apps", "v1", "Deployment"),
    "DeploymentList",
    ("deployments", "deployment"),
    SchemaSource::of::<k8s_openapi::api::apps::v1::Deployment>(),
    &DeploymentStrategy,
)
.short_names(const { &[text("deploy")] })
.categories(const { &[text("all")] })
.subresources(
    const {
        &[
            SCALE,
            Subresource::new("status", "Deployment", PART_VERBS),
        ]
    },
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Ready", "Pods that are ready, of those that are wanted."),
            Column::new("Up-to-date", "Pods that have the wanted template."),
            Column::new("Available", "Pods that have been ready for minReadySeconds."),
            columns::age_column(),
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"echo"}]}}}}"#,
);

/// Counts of the status.
const COUNTS: &[&str] = &[
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "collisionCount",
];

/// What a Deployment does beyond its shape.
pub struct DeploymentStrategy;

impl Strategy for DeploymentStrategy {
    fn default(&self, deployment: &mut Object) {
        let Some(spec) = child(deployment.fields_mut(), "spec") else {
            return;
        };
        set_null(spec, "replicas", json!(1));
        set_null(spec, "revisionHistoryLimit", json!(10));
        set_null(spec, "progressDeadlineSeconds", json!(600));
        if let Some(strategy) = child(spec, "strategy") {
            set(strategy, "type", json!("RollingUpdate"));
            if strategy.get("type") == Some(&json!("RollingUpdate"))
                && let Some(rolling) = child(strategy, "rollingUpdate")
            {
                set_null(rolling, "maxUnavailable", json!("25%"));
                set_null(rolling, "maxSurge", json!("25%"));
            }
        }
        template::default(spec);
    }

    fn prepare_for_create(&self, deployment: &mut Object) {
        deployment.set(&["status"], json!({}));
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        if part == Part::Main {
            keep(new, old, "status");
        } else {
            let labels = old.get(&["metadata", "labels"]).cloned();
            keep_all_but_status(new, old);
            // Kubernetes: the status endpoint leaves the labels as they are.
            match labels {
                Some(labels) => new.set(&["metadata", "labels"], labels),
                None => {
                    new.remove(&["metadata", "labels"]);
                }
            }
        }
    }

    fn validate(&self, deployment: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(deployment, "spec");
        errors.not_negative(&spec.field("replicas"));
        template::validate_selected(&spec, "deployment", "ReplicaSet", &mut errors);
        strategy(&spec.field("strategy"), &mut errors);
        let (ready, deadline) = (
            spec.field("minReadySeconds"),
            spec.field("progressDeadlineSeconds"),
        );
        errors.not_negative(&ready);
        errors.not_negative(&spec.field("revisionHistoryLimit"));
        if deadline.is_set() {
            errors.not_negative(&deadline);
            if deadline.number() <= ready.number() {
                errors.invalid(&deadline, "must be greater than minReadySeconds");
            }
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            let mut errors = Errors(self.validate(new));
            rollout::fixed_selector(new, old, &mut errors);
            return errors.0;
        }
        let mut errors = Errors::new();
        let status = At::of(new, "status");
        rollout::counts(&status, COUNTS, &mut errors);
        let of_all = "cannot be greater than status.replicas";
        rollout::ordered(
            &status,
            &[
                ("updatedReplicas", "replicas", of_all),
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
        rollout::collisions(new, old, &mut errors);
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

    /// Annotations are copied to ReplicaSets, so they count as well.
    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        [&["spec"][..], &["metadata", "annotations"]]
            .iter()
            .any(|path| new.get(path) != old.get(path))
    }
}

fn strategy(at: &At<'_, '_>, errors: &mut Errors) {
    let (kind, rolling) = (at.field("type"), at.field("rollingUpdate"));
    match kind.str() {
        "Recreate" => {
            if rolling.is_set() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.forbidden(&rolling, detail);
            }
        }
        "RollingUpdate" => {
            if !rolling.is_set() {
                let detail = "this should be defaulted and never be nil";
                errors.required(&rolling, detail);
                return;
            }
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            rollout::amount(&unavailable, errors);
            rollout::amount(&surge, errors);
            if rollout::number(&unavailable) == 0 && rollout::number(&surge) == 0 {
                errors.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
            }
            rollout::at_most_all(&unavailable, errors);
        }
        _ => errors.not_supported(&kind, &["Recreate", "RollingUpdate"]),
    }
}

fn row(deployment: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(deployment, "spec"), At::of(deployment, "status"));
    let count = |name: &str| status.field(name).number();
    let (containers, images) = template::containers(&spec.field("template"));
    vec![
        json!(deployment.name()),
        json!(format!(
            "{}/{}",
            count("readyReplicas"),
            spec.field("replicas").number()
        )),
        json!(count("updatedReplicas").to_string()),
        json!(count("availableReplicas").to_string()),
        columns::age(deployment, now),
        json!(containers),
        json!(images),
        json!(template::selector_cell(spec.field("selector").value)),
    ]
}
