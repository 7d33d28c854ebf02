//! ComponentStatus: whether a part of the control plane is well. Answered by the API server out of
//! what it knows, never stored; old tools ask for it (`kubectl get cs`).
//! Kubernetes: `pkg/registry/core/componentstatus`, deprecated since 1.19.

use crate::meta::Object;
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, Verb, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Plain;
use crate::resources::validate::At;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "ComponentStatus"),
    "ComponentStatusList",
    ("componentstatuses", "componentstatus"),
    SchemaSource::of::<k8s_openapi::api::core::v1::ComponentStatus>(),
    &Plain,
)
.cluster_scoped()
.short_names(const { &[text("cs")] })
.verbs(&[Verb::Get, Verb::List])
.storage_prefix("")
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Status", "Whether the component is well."),
            Column::new("Message", "What the component says of itself."),
            Column::new("Error", "Why it is not well."),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"}}"#);

fn row(component: &Object, _now: Timestamp) -> Vec<Value> {
    let conditions = At::of(component, "conditions");
    let healthy = conditions
        .items()
        .find(|condition| condition.field("type").str() == "Healthy");
    let (status, message, error) = match &healthy {
        Some(condition) => (
            match condition.field("status").str() {
                "True" => "Healthy",
                _ => "Unhealthy",
            },
            condition.field("message").str(),
            condition.field("error").str(),
        ),
        None => ("Unknown", "", ""),
    };
    vec![
        json!(component.name()),
        json!(status),
        json!(message),
        json!(error),
    ]
}
