//! Kinds of `metrics.k8s.io`: what nodes and pods use. Answered by the API server out of what the
//! nodes tell it, never stored. Must not know how it is measured.
//! Kubernetes: `k8s.io/metrics`, which the metrics server serves there.

use crate::meta::Object;
use crate::meta::quantity::{Format, Quantity};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

const PACKAGE: &str = "io.k8s.metrics.pkg.apis.metrics.v1beta1.";
const SHAPES: &str = include_str!("metrics.v1beta1.json");

const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Cpu", "How many cores are in use."),
    Column::new("Memory", "How much memory is in use."),
    Column::new("Window", "In what time that was measured."),
];

/// The row of nodes.
pub static NODES: ResourceDef = ResourceDef::new(
    ("metrics.k8s.io", "v1beta1", "NodeMetrics"),
    "NodeMetricsList",
    ("nodes", ""),
    SchemaSource::written::<ResourceQuota>(PACKAGE, "NodeMetrics", SHAPES),
    &Plain,
)
.cluster_scoped()
.verbs(&[Verb::Get, Verb::List])
.storage_prefix("")
.columns(COLUMNS, row)
.example(r#"{"metadata":{"name":"example"},"timestamp":"2026-01-01T00:00:00Z","window":"15s","usage":{"cpu":"1n"}}"#);

/// The row of pods.
pub static PODS: ResourceDef = ResourceDef::new(
    ("metrics.k8s.io", "v1beta1", "PodMetrics"),
    "PodMetricsList",
    ("pods", ""),
    SchemaSource::written::<ResourceQuota>(PACKAGE, "PodMetrics", SHAPES),
    &Plain,
)
.verbs(&[Verb::Get, Verb::List])
.storage_prefix("")
.columns(COLUMNS, row)
.example(r#"{"metadata":{"name":"example"},"timestamp":"2026-01-01T00:00:00Z","window":"15s","containers":[{"name":"c","usage":{"cpu":"1n"}}]}"#);

fn row(metrics: &Object, _now: Timestamp) -> Vec<Value> {
    let containers = metrics.get(&["containers"]).and_then(Value::as_array);
    let of_pod = containers
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("usage"));
    let all: Vec<&Value> = metrics.get(&["usage"]).into_iter().chain(of_pod).collect();
    let sum = |resource: &str| {
        let zero = Quantity::from_units(0, Format::DecimalSi);
        all.iter()
            .filter_map(|usage| Quantity::from_value(usage.get(resource)?).ok())
            .reduce(|sum, one| sum.plus(&one))
            .unwrap_or(zero)
            .to_string()
    };
    vec![
        json!(metrics.name()),
        json!(sum("cpu")),
        json!(sum("memory")),
        json!(metrics.str_at(&["window"])),
    ]
}
