//! LimitRange: how much a pod, a container or a claim in a namespace may ask for.
//! Kubernetes: `pkg/apis/core/v1` SetDefaults_LimitRangeItem, `pkg/apis/core/validation`
//! ValidateLimitRange.

use crate::meta::quantity::Quantity;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, objects};
use crate::resources::core::pod::resources;
use crate::resources::def::{ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "LimitRange"),
    "LimitRangeList",
    ("limitranges", "limitrange"),
    SchemaSource::of::<k8s_openapi::api::core::v1::LimitRange>(),
    &LimitRangeStrategy,
)
.short_names(const { &[text("limits")] })
.columns(columns::CREATED, columns::created_row)
.example(r#"{"metadata":{"name":"example"},"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"default":{"cpu":"1"},"defaultRequest":{"cpu":"1"}}]}}"#);

/// Types without a domain.
const TYPES: &[&str] = &["Pod", "Container", "PersistentVolumeClaim"];
/// Amounts above this are not compared in thousandths.
const MILLI_MAX: i64 = i64::MAX / 1000;

/// What a LimitRange does beyond its shape.
pub struct LimitRangeStrategy;

impl Strategy for LimitRangeStrategy {
    /// What a container gets follows from what it may have.
    fn default(&self, range: &mut Object) {
        let Some(spec) = child(range.fields_mut(), "spec") else {
            return;
        };
        for limit in objects(spec, "limits") {
            if limit.get("type").and_then(Value::as_str) == Some("Container") {
                fill(limit, "max", "default");
                fill(limit, "default", "defaultRequest");
                fill(limit, "min", "defaultRequest");
            }
        }
    }

    fn validate(&self, range: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(range, "spec");
        let limits = spec.field("limits");
        let mut seen = BTreeSet::new();
        for limit in limits.items() {
            let kind = limit.field("type");
            type_name(&kind, &mut errors);
            if !seen.insert(kind.str()) {
                errors.duplicate_as(&kind, kind.str());
            }
            item(&limit, &mut errors);
        }
        errors.0
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

fn fill(limit: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(Value::Object(from)) = limit.get(from).cloned() else {
        return;
    };
    let Some(to) = child(limit, to) else {
        return;
    };
    for (name, value) in from {
        to.entry(name).or_insert(value);
    }
}

fn type_name(kind: &At<'_, '_>, errors: &mut Errors) {
    let wrong = names::qualified_name(kind.str());
    if wrong.is_empty() && !kind.str().contains('/') && !TYPES.contains(&kind.str()) {
        errors.invalid(kind, "must be a standard limit type or fully qualified");
    }
    errors.invalid_all(kind, wrong);
}

fn item(limit: &At<'_, '_>, errors: &mut Errors) {
    let kind = limit.field("type").str();
    let mut keys = BTreeSet::new();
    let mut names_of = |field: &str, errors: &mut Errors| {
        let map = limit.field(field);
        for (name, _) in map.entries() {
            match kind {
                "Pod" | "Container" => resources::container_name(&map.key(name), name, errors),
                _ => {
                    resources::known_name(&map.key(name), name, errors);
                }
            }
            keys.insert(name);
        }
    };
    names_of("max", errors);
    names_of("min", errors);
    if kind == "Pod" {
        for field in ["default", "defaultRequest"] {
            if !limit.field(field).is_empty() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.forbidden(&limit.field(field), detail);
            }
        }
    } else {
        names_of("default", errors);
        names_of("defaultRequest", errors);
    }
    let storage = |field: &str| limit.field(field).value.get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&limit.field("limits"), detail);
    }
    names_of("maxLimitRequestRatio", errors);
    for name in keys {
        amounts(limit, name, errors);
    }
}

/// The amounts of one resource, which must not contradict each other.
fn amounts(limit: &At<'_, '_>, name: &str, errors: &mut Errors) {
    let is_pod = limit.field("type").str() == "Pod";
    let of = |field: &str| {
        let value = limit.value.get(field)?.get(name)?;
        Quantity::from_value(value).ok()
    };
    let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
    let (default, request) = match is_pod {
        true => (None, None),
        false => (of("default"), of("defaultRequest")),
    };
    let mut wrong = |field: &str, value: &Quantity, detail: String| {
        errors.invalid_as(&limit.field(field).key(name), value.to_string(), detail);
    };
    // The lesser, the greater, where it is told, whose value is shown, and the words of both.
    let pairs = [
        (&min, &max, "min", &min, "min value", "max value"),
        (
            &min,
            &request,
            "defaultRequest",
            &request,
            "min value",
            "default request value",
        ),
        (
            &request,
            &max,
            "defaultRequest",
            &request,
            "default request value",
            "max value",
        ),
        (
            &request,
            &default,
            "defaultRequest",
            &request,
            "default request value",
            "default limit value",
        ),
        (
            &min,
            &default,
            "default",
            &min,
            "min value",
            "default value",
        ),
        (
            &default,
            &max,
            "default",
            &max,
            "default value",
            "max value",
        ),
    ];
    for (less, more, field, shown, less_words, more_words) in pairs {
        if let (Some(less), Some(more), Some(shown)) = (less, more, shown)
            && less > more
        {
            let detail = format!("{less_words} {less} is greater than {more_words} {more}");
            wrong(field, shown, detail);
        }
    }
    if let Some(ratio) = &ratio {
        if *ratio < Quantity::from_units(1, ratio.format()) {
            let detail = format!("ratio {ratio} is less than 1");
            wrong("maxLimitRequestRatio", ratio, detail);
        }
        if let (Some(min), Some(max)) = (&min, &max)
            && let Some(limit) = exceeded(ratio, min, max)
        {
            let detail = format!("ratio {ratio} is greater than max/min = {limit:.6}");
            wrong("maxLimitRequestRatio", ratio, detail);
        }
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && !resources::is_overcommitable(name)
        && default != request
    {
        let detail = format!(
            "default value {default} must equal to defaultRequest value {request} in {name}"
        );
        wrong("defaultRequest", request, detail);
    }
}

/// The greatest ratio there can be, if `ratio` is above it.
#[allow(
    clippy::cast_precision_loss,
    reason = "Kubernetes compares floating point numbers"
)]
fn exceeded(ratio: &Quantity, min: &Quantity, max: &Quantity) -> Option<f64> {
    let small = [ratio, min, max].iter().all(|q| q.value() < MILLI_MAX);
    let (asked, most) = if small {
        let most = max.millis() as f64 / min.millis() as f64;
        (ratio.millis() as f64 / 1000.0, most)
    } else {
        (
            ratio.value() as f64,
            max.value() as f64 / min.value() as f64,
        )
    };
    (asked > most).then_some(most)
}
