//! What an autoscaler measures: checks of the metrics, and their cell. Must not know versions.
//! Kubernetes: `pkg/apis/autoscaling/validation`.

use super::horizontal_pod_autoscaler::reference;
use crate::meta::names;
use crate::meta::quantity::Quantity;
use crate::resources::validate::{At, Errors};
use serde_json::{Value, json};

/// Kinds of metrics, each with its field, in the order of Kubernetes' message.
const KINDS: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
/// The fields in the order in which Kubernetes looks at them.
const SOURCES: &[&str] = &[
    "object",
    "external",
    "pods",
    "resource",
    "containerResource",
];
/// Metrics that a cell shows.
const SHOWN: usize = 2;

/// A metric of the use of the processor, in percent of what is asked for.
pub(super) fn cpu(percent: i64) -> Value {
    json!({
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": percent},
        },
    })
}

/// -1, 0 or 1; nothing if there is no number.
pub(super) fn sign(at: &At<'_, '_>) -> Option<i32> {
    let amount = Quantity::from_value(at.value).ok()?;
    at.is_set().then_some(match amount {
        amount if amount.is_negative() => -1,
        amount if amount.is_zero() => 0,
        _ => 1,
    })
}

/// Checks a metric.
pub(super) fn validate(metric: &At<'_, '_>, errors: &mut Errors) {
    let kind = metric.field("type");
    let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    if kind.str().is_empty() {
        errors.required(&kind, "must specify a metric source type");
    }
    errors.one_of(&kind, &kinds);
    let mut present = Vec::new();
    for source in SOURCES {
        let at = metric.field(source);
        if !at.is_set() {
            continue;
        }
        present.push(*source);
        if present.len() == 1 {
            self::source(source, &at, errors);
        }
    }
    let expected = KINDS.iter().find(|(name, _)| *name == kind.str());
    match expected {
        None => errors.not_supported(&kind, &kinds),
        Some((_, field)) => {
            let at = metric.field(field);
            if !at.is_set() {
                errors.required(&at, "must populate information for the given metric source");
            }
        }
    }
    if present.len() != 1 {
        present.sort_unstable();
        for source in present {
            if expected.is_none_or(|(_, field)| *field != source) {
                let detail = "must populate the given metric source only";
                errors.forbidden(&metric.field(source), detail);
            }
        }
    }
}

fn source(kind: &str, at: &At<'_, '_>, errors: &mut Errors) {
    match kind {
        "resource" | "containerResource" => resource(kind, at, errors),
        _ => {
            if kind == "object" {
                reference(&at.field("describedObject"), errors);
            }
            let metric = at.field("metric");
            let name = metric.field("name");
            if name.str().is_empty() {
                errors.required(&name, "must specify a metric name");
            } else {
                errors.invalid_all(&name, names::path_segment(name.str()));
            }
        }
    }
    let wanted = at.field("target");
    target(&wanted, errors);
    let set = |field: &str| wanted.field(field).is_set();
    match kind {
        "pods" if !set("averageValue") => {
            let detail = "must specify a positive target averageValue";
            errors.required(&wanted.field("averageValue"), detail);
        }
        "object" if !set("value") && !set("averageValue") => {
            let detail = "must set either a target value or averageValue";
            errors.required(&wanted.field("averageValue"), detail);
        }
        "external" if !set("value") && !set("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.required(&wanted.field("averageValue"), detail);
        }
        "external" if set("value") && set("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&wanted.field("value"), detail);
        }
        "resource" | "containerResource" => {
            match (set("averageUtilization"), set("averageValue")) {
                (false, false) => {
                    let detail = "must set either a target raw value or a target utilization";
                    errors.required(&wanted.field("averageUtilization"), detail);
                }
                (true, true) => {
                    let detail = "may not set both a target raw value and a target utilization";
                    errors.forbidden(&wanted.field("averageValue"), detail);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn resource(kind: &str, at: &At<'_, '_>, errors: &mut Errors) {
    let name = at.field("name");
    if name.str().is_empty() {
        errors.required(&name, "must specify a resource name");
    } else if kind == "containerResource" {
        errors.invalid_all(&name, names::qualified_name(name.str()));
        let known = ["cpu", "memory", "ephemeral-storage"].contains(&name.str());
        if !name.str().contains('/') && !known && !name.str().starts_with("hugepages-") {
            errors.invalid(&name, "must be a standard resource for containers");
        }
    }
    if kind == "containerResource" {
        let container = at.field("container");
        if container.str().is_empty() {
            errors.required(&container, "must specify a container");
        } else {
            errors.invalid_all(&container, names::dns1123_label(container.str()));
        }
    }
}

fn target(at: &At<'_, '_>, errors: &mut Errors) {
    let kind = at.field("type");
    if kind.str().is_empty() {
        errors.required(&kind, "must specify a metric target type");
    }
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.invalid_as(&kind, kind.str(), detail);
    }
    for field in ["value", "averageValue"] {
        let field = at.field(field);
        if sign(&field).is_some_and(|sign| sign < 1) {
            errors.invalid(&field, "must be positive");
        }
    }
    let percent = at.field("averageUtilization");
    if percent.int().is_some_and(|n| n < 1) {
        errors.invalid(&percent, "must be greater than 0");
    }
}

/// What is measured and what is wanted, for as many metrics as are shown.
/// Kubernetes: `pkg/printers/internalversion` formatHPAMetrics.
pub(super) fn cell(specs: &At<'_, '_>, statuses: &At<'_, '_>) -> String {
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let texts: Vec<String> = specs
        .items()
        .enumerate()
        .take(SHOWN)
        .map(|(index, spec)| one(&spec, &statuses.index(index)))
        .collect();
    let text = texts.join(", ");
    match specs.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} + {more} more..."),
    }
}

fn one(spec: &At<'_, '_>, status: &At<'_, '_>) -> String {
    let kind = spec.field("type").str();
    let Some((_, field)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return "<unknown type>".to_owned();
    };
    let (source, measured) = (spec.field(field), status.field(field));
    let (target, current) = (source.field("target"), measured.field("current"));
    let text = |at: &At<'_, '_>, absent: &str| match at.value {
        Value::Null => absent.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pair = |field: &str| {
        let now = text(&current.field(field), "<unknown>");
        format!("{now}/{}", text(&target.field(field), "<unknown>"))
    };
    let by_average = target.field("averageValue").is_set();
    match kind {
        "Pods" => pair("averageValue"),
        "External" | "Object" if by_average => format!("{} (avg)", pair("averageValue")),
        "External" | "Object" => pair("value"),
        _ => {
            let name = source.field("name").str();
            if by_average {
                return format!("{name}: {}", pair("averageValue"));
            }
            let percent = |at: &At<'_, '_>, absent: &str| {
                at.field("averageUtilization")
                    .int()
                    .map_or(absent.to_owned(), |n| format!("{n}%"))
            };
            let now = percent(&current, "<unknown>");
            format!("{name}: {now}/{}", percent(&target, "<auto>"))
        }
    }
}
