//! HorizontalPodAutoscaler: how many pods a workload has, by what is measured.
//! Kubernetes: `pkg/apis/autoscaling/{v2,validation}`, `pkg/registry/autoscaling`.

use super::metrics;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set, set_null};
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    "HorizontalPodAutoscalerList",
    ("horizontalpodautoscalers", "horizontalpodautoscaler"),
    SchemaSource::of::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>(),
    &AutoscalerStrategy,
)
.short_names(const { &[text("hpa")] })
.categories(const { &[text("all")] })
.subresources(const { &[Subresource::new("status", "HorizontalPodAutoscaler", PART_VERBS)] })
.columns(COLUMNS, row)
.example(
    r#"{"metadata":{"name":"example"},"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}"#,
);

pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Reference", "What is scaled."),
    Column::new("Targets", "What is measured, and what is wanted."),
    Column::new("MinPods", "Fewest pods."),
    Column::new("MaxPods", "Most pods."),
    Column::new("Replicas", "Pods that there are."),
    columns::age_column(),
];

/// What other versions keep in annotations; no part of this one.
const ROUND_TRIP: &[&str] = &[
    "autoscaling.alpha.kubernetes.io/metrics",
    "autoscaling.alpha.kubernetes.io/behavior",
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
];

/// Longest window and period of a rule (seconds).
const WINDOW_MAX_SECONDS: i64 = 3600;
const PERIOD_MAX_SECONDS: i64 = 1800;
/// The wanted use of the processor where no metric is given (percent).
pub(super) const CPU_PERCENT: i64 = 80;

/// What a HorizontalPodAutoscaler does beyond its shape.
pub struct AutoscalerStrategy;

impl Strategy for AutoscalerStrategy {
    fn default(&self, scaler: &mut Object) {
        for name in ROUND_TRIP {
            scaler.remove(&["metadata", "annotations", name]);
        }
        let Some(spec) = child(scaler.fields_mut(), "spec") else {
            return;
        };
        set_null(spec, "minReplicas", json!(1));
        let metrics = spec.get("metrics").and_then(Value::as_array);
        if metrics.is_none_or(Vec::is_empty) {
            spec.insert("metrics".to_owned(), json!([metrics::cpu(CPU_PERCENT)]));
        }
        if let Some(Value::Object(behavior)) = spec.get_mut("behavior") {
            let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
            let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
            if let Some(up) = child(behavior, "scaleUp") {
                set_null(up, "stabilizationWindowSeconds", json!(0));
                rules(up, json!([pods, percent]));
            }
            if let Some(down) = child(behavior, "scaleDown") {
                rules(down, json!([percent]));
            }
        }
    }

    fn prepare_for_create(&self, scaler: &mut Object) {
        scaler.set(&["status"], json!({"desiredReplicas": 0}));
    }

    fn validate(&self, scaler: &Object) -> Vec<FieldError> {
        validate(scaler, 1)
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part == Part::Main {
            let was_zero = old.get(&["spec", "minReplicas"]) == Some(&json!(0));
            return validate(new, i64::from(!was_zero));
        }
        let mut errors = Errors::new();
        let status = At::of(new, "status");
        for field in ["currentReplicas", "desiredReplicas"] {
            errors.not_negative(&status.field(field));
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }
}

fn rules(rules: &mut Map<String, Value>, policies: Value) {
    set(rules, "selectPolicy", json!("Max"));
    set_null(rules, "policies", policies);
}

fn validate(scaler: &Object, fewest: i64) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(scaler, "spec");
    let (min, max) = (spec.field("minReplicas"), spec.field("maxReplicas"));
    if min.int().is_some_and(|n| n < fewest) {
        let detail = format!("must be greater than or equal to {fewest}");
        errors.invalid(&min, detail);
    }
    if max.number() < 1 {
        errors.invalid_as(&max, max.number(), "must be greater than 0");
    }
    if min.is_set() && max.number() < min.number() {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.invalid_as(&max, max.number(), detail);
    }
    reference(&spec.field("scaleTargetRef"), &mut errors);
    let list = spec.field("metrics");
    for metric in list.items() {
        metrics::validate(&metric, &mut errors);
    }
    let outside = |metric: &Value| {
        let kind = metric.get("type").and_then(Value::as_str);
        matches!(kind, Some("Object" | "External"))
    };
    if min.int() == Some(0) && !list.values().any(outside) {
        let detail = "must specify at least one Object or External metric to support scaling to \
                      zero replicas";
        errors.forbidden(&list, detail);
    }
    let behavior = spec.field("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        scaling(&behavior.field(direction), &mut errors);
    }
    errors.0
}

/// Checks what is scaled or described.
pub(super) fn reference(at: &At<'_, '_>, errors: &mut Errors) {
    for field in ["kind", "name"] {
        let field = at.field(field);
        if field.str().is_empty() {
            errors.required(&field, "");
        } else {
            errors.invalid_all(&field, names::path_segment(field.str()));
        }
    }
}

fn scaling(rules: &At<'_, '_>, errors: &mut Errors) {
    if !rules.is_set() {
        return;
    }
    let window = rules.field("stabilizationWindowSeconds");
    if window.number() < 0 {
        errors.invalid(&window, "must be greater than or equal to zero");
    }
    if window.number() > WINDOW_MAX_SECONDS {
        let detail = format!("must be less than or equal to {WINDOW_MAX_SECONDS}");
        errors.invalid(&window, detail);
    }
    let select = rules.field("selectPolicy");
    if select.is_set() {
        errors.one_of(&select, &["Disabled", "Max", "Min"]);
    }
    let policies = rules.field("policies");
    if policies.is_empty() {
        errors.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        errors.one_of(&policy.field("type"), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            let field = policy.field(field);
            if field.number() <= 0 {
                errors.invalid_as(&field, field.number(), "must be greater than zero");
            }
        }
        let period = policy.field("periodSeconds");
        if period.number() > PERIOD_MAX_SECONDS {
            let detail = format!("must be less than or equal to {PERIOD_MAX_SECONDS}");
            errors.invalid(&period, detail);
        }
    }
    let tolerance = rules.field("tolerance");
    if metrics::sign(&tolerance).is_some_and(|sign| sign < 0) {
        errors.invalid(&tolerance, "must be greater or equal to zero");
    }
}

/// Kubernetes: `pkg/printers/internalversion` printHorizontalPodAutoscaler.
pub(super) fn row(scaler: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (At::of(scaler, "spec"), At::of(scaler, "status"));
    let target = spec.field("scaleTargetRef");
    let min = spec.field("minReplicas");
    vec![
        json!(scaler.name()),
        json!(format!(
            "{}/{}",
            target.field("kind").str(),
            target.field("name").str()
        )),
        json!(metrics::cell(
            &spec.field("metrics"),
            &status.field("currentMetrics")
        )),
        json!(min.int().map_or("<unset>".to_owned(), |n| n.to_string())),
        json!(spec.field("maxReplicas").number()),
        json!(status.field("currentReplicas").number()),
        columns::age(scaler, now),
    ]
}
