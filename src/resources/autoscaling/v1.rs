//! HorizontalPodAutoscaler in the older form: the wanted use of the processor is a field, all that
//! this form has no fields for stands in annotations.
//! Kubernetes: `pkg/apis/autoscaling/v1` conversion.

use super::horizontal_pod_autoscaler::{AutoscalerStrategy, COLUMNS, CPU_PERCENT, row};
use super::metrics;
use crate::meta::{FieldError, Object};
use crate::resources::core::pod::defaults::{child, set_null};
use crate::resources::def::{Conversion, PART_VERBS, ResourceDef, Subresource, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("autoscaling", "v1", "HorizontalPodAutoscaler"),
    "HorizontalPodAutoscalerList",
    ("horizontalpodautoscalers", "horizontalpodautoscaler"),
    SchemaSource::of::<k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler>(),
    &OldAutoscalerStrategy,
)
.short_names(const { &[text("hpa")] })
.categories(const { &[text("all")] })
.subresources(const { &[Subresource::new("status", "HorizontalPodAutoscaler", PART_VERBS)] })
.columns(COLUMNS, old_row)
.conversion(Conversion::between(("autoscaling", "v2"), to_stored, from_stored))
.example(
    r#"{"metadata":{"name":"example"},"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}"#,
);

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// What an autoscaler of this form does beyond its shape: what the stored one does.
pub struct OldAutoscalerStrategy;

impl Strategy for OldAutoscalerStrategy {
    fn default(&self, scaler: &mut Object) {
        if let Some(spec) = child(scaler.fields_mut(), "spec") {
            set_null(spec, "minReplicas", json!(1));
        }
        // Where nothing is to be measured at all, the processor is.
        let path = ["spec", "targetCPUUtilizationPercentage"];
        if scaler.get(&path).is_none() && scaler.annotation(METRICS).is_none() {
            scaler.set(&path, CPU_PERCENT.into());
        }
    }

    fn prepare_for_create(&self, scaler: &mut Object) {
        for name in [CURRENT, CONDITIONS] {
            scaler.remove(&["metadata", "annotations", name]);
        }
        let status = json!({"currentReplicas": 0, "desiredReplicas": 0});
        scaler.set(&["status"], status);
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        let mut stored = stored(new);
        AutoscalerStrategy.prepare_for_update(part, &mut stored, &self::stored(old));
        from_stored(&mut stored);
        *new = stored;
    }

    fn validate(&self, scaler: &Object) -> Vec<FieldError> {
        AutoscalerStrategy.validate(&stored(scaler))
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        AutoscalerStrategy.validate_update(part, &stored(new), &stored(old))
    }

    fn has_status(&self) -> bool {
        true
    }
}

fn stored(scaler: &Object) -> Object {
    let mut stored = scaler.clone();
    to_stored(&mut stored);
    stored
}

fn old_row(scaler: &Object, now: Timestamp) -> Vec<Value> {
    row(&stored(scaler), now)
}

/// Takes an annotation that holds JSON; what is no JSON is lost, as in Kubernetes.
fn take(scaler: &mut Object, name: &str) -> Option<Value> {
    let text = scaler.remove(&["metadata", "annotations", name])?;
    let empty = scaler.get(&["metadata", "annotations"]);
    if empty.and_then(Value::as_object).is_some_and(Map::is_empty) {
        scaler.remove(&["metadata", "annotations"]);
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn put(scaler: &mut Object, name: &str, value: &Value) {
    let text = Value::String(value.to_string());
    scaler.set(&["metadata", "annotations", name], text);
}

fn to_stored(scaler: &mut Object) {
    scaler.set(&["apiVersion"], "autoscaling/v2".into());
    let mut list = match take(scaler, METRICS) {
        Some(Value::Array(list)) => list.iter().map(|metric| newer(metric, SPEC)).collect(),
        _ => Vec::new(),
    };
    let percent = scaler.remove(&["spec", "targetCPUUtilizationPercentage"]);
    if let Some(percent) = percent.and_then(|percent| percent.as_i64()) {
        list.push(metrics::cpu(percent));
    }
    if list.is_empty() {
        list.push(metrics::cpu(CPU_PERCENT));
    }
    scaler.set(&["spec", "metrics"], Value::Array(list));
    if let Some(mut behavior) = take(scaler, BEHAVIOR) {
        recase(&mut behavior, char::to_ascii_lowercase);
        scaler.set(&["spec", "behavior"], behavior);
    }
    let percent = scaler.remove(&["status", "currentCPUUtilizationPercentage"]);
    let current = take(scaler, CURRENT);
    let list = match current.as_ref().and_then(Value::as_array) {
        Some(list) => list.iter().map(|metric| newer(metric, STATUS)).collect(),
        None => match percent.and_then(|percent| percent.as_i64()) {
            Some(percent) => {
                let current = json!({"averageUtilization": percent});
                let resource = json!({"name": "cpu", "current": current});
                vec![json!({"type": "Resource", "resource": resource})]
            }
            None => Vec::new(),
        },
    };
    if !list.is_empty() {
        scaler.set(&["status", "currentMetrics"], Value::Array(list));
    }
    if let Some(conditions) = take(scaler, CONDITIONS).filter(Value::is_array) {
        scaler.set(&["status", "conditions"], conditions);
    }
}

fn from_stored(scaler: &mut Object) {
    scaler.set(&["apiVersion"], "autoscaling/v1".into());
    let list = |value: Option<Value>| match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let all = list(scaler.remove(&["spec", "metrics"]));
    let percent = |metric: &Value, of: &str| metric.pointer(of)?.as_i64();
    let is_cpu = |metric: &Value| {
        metric.pointer("/resource/name").and_then(Value::as_str) == Some("cpu")
            && metric.get("type").and_then(Value::as_str) == Some("Resource")
    };
    let wanted = "/resource/target/averageUtilization";
    // Only the first metric of the processor has the field; another one would be lost.
    let first = all.iter().position(is_cpu);
    let first = first.filter(|at| all.get(*at).and_then(|m| percent(m, wanted)).is_some());
    if let Some(amount) = first.and_then(|at| percent(all.get(at)?, wanted)) {
        scaler.set(&["spec", "targetCPUUtilizationPercentage"], amount.into());
    }
    let others = all.iter().enumerate().filter(|(at, _)| first != Some(*at));
    let others: Vec<Value> = others.map(|(_, metric)| older(metric, SPEC)).collect();
    if !others.is_empty() {
        put(scaler, METRICS, &Value::Array(others));
    }
    if let Some(mut behavior) = scaler.remove(&["spec", "behavior"]) {
        recase(&mut behavior, char::to_ascii_uppercase);
        put(scaler, BEHAVIOR, &behavior);
    }
    let current = list(scaler.remove(&["status", "currentMetrics"]));
    let measured = "/resource/current/averageUtilization";
    let cpu = current.iter().filter(|metric| is_cpu(metric));
    if let Some(amount) = cpu.filter_map(|m| percent(m, measured)).next_back() {
        scaler.set(
            &["status", "currentCPUUtilizationPercentage"],
            amount.into(),
        );
    }
    if !current.is_empty() {
        let current: Vec<Value> = current.iter().map(|m| older(m, STATUS)).collect();
        put(scaler, CURRENT, &Value::Array(current));
    }
    let conditions = list(scaler.remove(&["status", "conditions"]));
    if !conditions.is_empty() {
        put(scaler, CONDITIONS, &Value::Array(conditions));
    }
    if let Some(Value::Object(status)) = scaler.fields_mut().get_mut("status") {
        set_null(status, "currentReplicas", json!(0));
    }
}

/// Changes the first letter of every name: the annotation holds Kubernetes' inner form.
fn recase(value: &mut Value, case: fn(&char) -> char) {
    match value {
        Value::Object(fields) => {
            let old = std::mem::take(fields);
            for (name, mut value) in old.into_iter().filter(|(_, value)| !value.is_null()) {
                recase(&mut value, case);
                let mut letters = name.chars();
                let first = letters.next().map(|letter| case(&letter));
                fields.insert(first.into_iter().chain(letters).collect(), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| recase(item, case)),
        _ => {}
    }
}

/// A field of the older form of a metric and the path of the same in the newer one.
type Pairs = &'static [(&'static str, &'static [&'static str])];
/// The fields of each kind of metric.
type Forms = &'static [(&'static str, Pairs)];

static SPEC: Forms = &[
    (
        "object",
        &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("targetValue", &["target", "value"]),
            ("averageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "resource",
        &[
            ("name", &["name"]),
            (
                "targetAverageUtilization",
                &["target", "averageUtilization"],
            ),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", &["name"]),
            ("container", &["container"]),
            (
                "targetAverageUtilization",
                &["target", "averageUtilization"],
            ),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
    (
        "external",
        &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("targetValue", &["target", "value"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
    ),
];

static STATUS: Forms = &[
    (
        "object",
        &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("currentValue", &["current", "value"]),
            ("averageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", &["metric", "name"]),
            ("selector", &["metric", "selector"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "resource",
        &[
            ("name", &["name"]),
            (
                "currentAverageUtilization",
                &["current", "averageUtilization"],
            ),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", &["name"]),
            ("container", &["container"]),
            (
                "currentAverageUtilization",
                &["current", "averageUtilization"],
            ),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
    (
        "external",
        &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("currentValue", &["current", "value"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
    ),
];

/// A metric in the older form.
fn older(metric: &Value, forms: Forms) -> Value {
    let mut out = Object::default();
    if let Some(kind) = metric.get("type") {
        out.set(&["type"], kind.clone());
    }
    for (field, pairs) in forms {
        for (old, new) in *pairs {
            let source = metric.get(field).and_then(Value::as_object);
            let source = source.map(|source| Object::new(source.clone()));
            if let Some(value) = source.as_ref().and_then(|source| source.get(new)) {
                out.set(&[field, old], value.clone());
            }
        }
    }
    out.into_value()
}

/// A metric in the newer form; the kind of target follows from what is given.
fn newer(metric: &Value, forms: Forms) -> Value {
    let mut out = Object::default();
    if let Some(kind) = metric.get("type") {
        out.set(&["type"], kind.clone());
    }
    for (field, pairs) in forms {
        let Some(source) = metric.get(field) else {
            continue;
        };
        for (old, new) in *pairs {
            let Some(value) = source.get(old).filter(|value| !value.is_null()) else {
                continue;
            };
            // Kubernetes writes a target that is not given as 0.
            if *old == "targetValue" && *value == json!("0") {
                continue;
            }
            let path: Vec<&str> = [*field].into_iter().chain(new.iter().copied()).collect();
            out.set(&path, value.clone());
        }
        let has = |name: &str| out.get(&[field, "target", name]).is_some();
        let kind = if has("averageUtilization") {
            "Utilization"
        } else if has("averageValue") {
            "AverageValue"
        } else {
            "Value"
        };
        if std::ptr::eq(forms, SPEC) {
            out.set(&[field, "target", "type"], json!(kind));
        }
    }
    out.into_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_the_forms() {
        let stored = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "x"},
            "spec": {
                "minReplicas": 1,
                "maxReplicas": 5,
                "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"},
                        "metric": {"name": "n"}, "target": {"type": "Value", "value": "7"}}},
                    {"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 60}}},
                ],
                "behavior": {"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 1, "periodSeconds": 2}]}},
            },
            "status": {
                "currentReplicas": 2,
                "desiredReplicas": 3,
                "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 55, "averageValue": "100m"}}}],
            },
        });
        let mut scaler = Object::from_value(stored.clone()).unwrap();
        from_stored(&mut scaler);
        assert_eq!(
            scaler.get(&["spec", "targetCPUUtilizationPercentage"]),
            Some(&json!(60))
        );
        assert_eq!(
            scaler.get(&["status", "currentCPUUtilizationPercentage"]),
            Some(&json!(55))
        );
        assert_eq!(
            scaler.annotation(METRICS),
            Some(
                r#"[{"type":"Pods","pods":{"metricName":"m","selector":{"matchLabels":{"a":"b"}},"targetAverageValue":"5"}},{"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"n","targetValue":"7"}}]"#
            )
            .map(|text| serde_json::from_str::<Value>(text).unwrap().to_string())
            .as_deref()
        );
        assert!(
            scaler
                .annotation(BEHAVIOR)
                .unwrap()
                .contains("\"ScaleDown\":{")
        );
        let decoded = DEF.decode(scaler.clone().into_value()).unwrap();
        assert_eq!(decoded.unknown_fields, Vec::<String>::new());
        to_stored(&mut scaler);
        assert_eq!(scaler.into_value(), stored);
    }

    #[test]
    fn an_old_autoscaler_is_checked_as_a_new_one() {
        let body = json!({
            "metadata": {"name": "x", "namespace": "default"},
            "spec": {"maxReplicas": 0, "targetCPUUtilizationPercentage": 0},
        });
        let mut scaler = DEF.decode(body).unwrap().object;
        DEF.default(&mut scaler);
        DEF.prepare_for_create(&mut scaler);
        let errors: Vec<String> = DEF
            .validate(&scaler)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors,
            [
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Required value",
                "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
            ]
        );
    }
}
