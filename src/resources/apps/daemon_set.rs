//! DaemonSet: one pod on each node.
//! Kubernetes: `pkg/apis/apps/{v1,validation}`, `pkg/registry/apps/daemonset`.

use super::rollout;
use crate::meta::labels::Selector;
use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy, keep, keep_all_but_status};
use crate::resources::template;
use crate::resources::validate::{At, Errors, selector};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("apps", "v1", "DaemonSet"),
    "DaemonSetList",
    ("daemonsets", "daemonset"),
    SchemaSource::of::<k8s_openapi::api::apps::v1::DaemonSet>(),
    &DaemonSetStrategy,
)
.short_names(const { &[text("ds")] })
.categories(const { &[text("all")] })
.subresources(const { &[Subresource::new("status", "DaemonSet", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::integer("Desired", "Nodes that should run a pod."),
            Column::integer("Current", "Nodes that run a pod and should."),
            Column::integer("Ready", "Nodes whose pod is ready."),
            Column::integer("Up-to-date", "Nodes whose pod has the wanted template."),
            Column::integer("Available", "Nodes whose pod has been ready for long enough."),
            Column::new("Node Selector", "The labels of nodes that run a pod."),
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

/// The number of the template, which old clients read.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Counts of the status.
const COUNTS: &[&str] = &[
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
];

/// What a DaemonSet does beyond its shape.
pub struct DaemonSetStrategy;

impl Strategy for DaemonSetStrategy {
    fn default(&self, daemons: &mut Object) {
        let Some(spec) = child(daemons.fields_mut(), "spec") else {
            return;
        };
        if let Some(update) = child(spec, "updateStrategy") {
            set(update, "type", json!("RollingUpdate"));
            if update.get("type") == Some(&json!("RollingUpdate"))
                && let Some(rolling) = child(update, "rollingUpdate")
            {
                set_null(rolling, "maxUnavailable", json!(1));
                set_null(rolling, "maxSurge", json!(0));
            }
        }
        set_null(spec, "revisionHistoryLimit", json!(10));
        template::default(spec);
    }

    fn prepare_for_create(&self, daemons: &mut Object) {
        daemons.set(
            &["status"],
            json!({
                "currentNumberScheduled": 0,
                "desiredNumberScheduled": 0,
                "numberMisscheduled": 0,
                "numberReady": 0,
            }),
        );
        daemons.set(
            &["metadata", "annotations", TEMPLATE_GENERATION],
            "1".into(),
        );
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        if part != Part::Main {
            keep_all_but_status(new, old);
            return;
        }
        keep(new, old, "status");
        let before = old.annotation(TEMPLATE_GENERATION);
        let mut generation: i64 = before.and_then(|text| text.parse().ok()).unwrap_or(1);
        if new.get(&["spec", "template"]) != old.get(&["spec", "template"]) {
            generation += 1;
        }
        let path = ["metadata", "annotations", TEMPLATE_GENERATION];
        new.set(&path, generation.to_string().into());
    }

    fn validate(&self, daemons: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(daemons, "spec");
        let wanted = spec.field("selector");
        selector::label_selector(&wanted, &mut errors);
        let of = Selector::from_label_selector(Some(wanted.value));
        let of = of.unwrap_or_else(|_| Selector::everything());
        let mut told = Errors::new();
        template::validate_matched(&spec.field("template"), &of, "DaemonSet", &mut told);
        if wanted.is_set() && selector::is_empty(&wanted) {
            errors.invalid(&wanted, "empty selector is invalid for daemonset");
        }
        errors.0.append(&mut told.0);
        errors.not_negative(&spec.field("minReadySeconds"));
        strategy(&spec.field("updateStrategy"), &mut errors);
        errors.not_negative(&spec.field("revisionHistoryLimit"));
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if part == Part::Main {
            errors.0.extend(self.validate(new));
            rollout::fixed_selector(new, old, &mut errors);
        } else {
            rollout::counts(&At::of(new, "status"), COUNTS, &mut errors);
            rollout::collisions(new, old, &mut errors);
        }
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
}

fn strategy(at: &At<'_, '_>, errors: &mut Errors) {
    let (kind, rolling) = (at.field("type"), at.field("rollingUpdate"));
    match kind.str() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => errors.required(&rolling, ""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            let some = |at: &At<'_, '_>| rollout::number(at) != 0;
            match (some(&unavailable), some(&surge)) {
                (true, true) => {
                    errors.invalid(&surge, "may not be set when maxUnavailable is non-zero");
                }
                (false, false) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
            for amount in [&unavailable, &surge] {
                rollout::amount(amount, errors);
                rollout::at_most_all(amount, errors);
            }
        }
        _ => errors.not_supported(&kind, &["RollingUpdate", "OnDelete"]),
    }
}

fn row(daemons: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(daemons, "spec"), At::of(daemons, "status"));
    let of = spec.field("template");
    let pod = of.field("spec");
    let (containers, images) = template::containers(&of);
    let count = |name: &str| json!(status.field(name).number());
    vec![
        json!(daemons.name()),
        count("desiredNumberScheduled"),
        count("currentNumberScheduled"),
        count("numberReady"),
        count("updatedNumberScheduled"),
        count("numberAvailable"),
        json!(template::labels_cell(&pod.field("nodeSelector"))),
        columns::age(daemons, now),
        json!(containers),
        json!(images),
        json!(template::selector_cell(spec.field("selector").value)),
    ]
}
