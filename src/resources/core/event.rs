//! Event of the core group: what happened to an object. Stored in this form; `events.k8s.io` is
//! another view of the same store.

use crate::meta::{FieldError, Object, time};
use crate::resources::def::{Column, ResourceDef, SelectableField, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Event"),
    "EventList",
    ("events", "event"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Event>(),
    &EventStrategy,
)
.short_names(const { &[text("ev")] })
.columns(COLUMNS, row)
.selectable_fields(
    const {
        &[
            SelectableField::path("involvedObject.kind"),
            SelectableField::path("involvedObject.namespace"),
            SelectableField::path("involvedObject.name"),
            SelectableField::path("involvedObject.uid"),
            SelectableField::path("involvedObject.apiVersion"),
            SelectableField::path("involvedObject.resourceVersion"),
            SelectableField::path("involvedObject.fieldPath"),
            SelectableField::path("reason"),
            SelectableField::path("reportingComponent"),
            SelectableField::computed("source", source),
            SelectableField::path("type"),
        ]
    },
)
.example(
    r#"{"metadata":{"name":"example","namespace":"default"},"involvedObject":{"kind":"Pod","namespace":"default","name":"p"}}"#,
)
.relaxed_durability();

/// Who reported the event, in either generation's field.
fn source(event: &Object) -> String {
    match event.str_at(&["source", "component"]) {
        "" => event.str_at(&["reportingComponent"]).to_owned(),
        component => component.to_owned(),
    }
}

/// What an Event does beyond its shape.
pub struct EventStrategy;

impl Strategy for EventStrategy {
    /// Kubernetes checks only that an event stands where its object does, in this version of the
    /// kind; events without a namespace belong to `default`.
    fn validate(&self, event: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let about = match At::of(event, "involvedObject") {
            about if about.is_set() => about,
            _ => At::of(event, "regarding"),
        };
        let namespace = about.field("namespace");
        let right = match namespace.str() {
            "" => matches!(event.namespace(), "" | "default" | "kube-system"),
            name => name == event.namespace(),
        };
        if !right {
            errors.invalid_as(
                &namespace,
                namespace.str(),
                "does not match event.namespace",
            );
        }
        errors.0
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

/// The columns, also of `events.k8s.io`.
pub const COLUMNS: &[Column] = &[
    Column::new("Last Seen", "When the event was last seen."),
    Column::new("Type", "The type of the event: Normal, Warning."),
    Column::new("Reason", "Why it happened, in one word."),
    Column::new("Object", "What the event is about."),
    Column::wide("Subobject", "Which part of the object it is about."),
    Column::wide("Source", "Who reported it."),
    Column::new("Message", "What happened."),
    Column::wide("First Seen", "When the event was first seen."),
    Column::wide("Count", "How often the event was seen."),
    Column::wide_name("Name", "Name of the event."),
];

/// Kubernetes: `pkg/printers/internalversion` printEvent.
pub(crate) fn row(event: &Object, now: Timestamp) -> Vec<Value> {
    let first = event.str_at(&["firstTimestamp"]);
    let micro = event.str_at(&["eventTime"]);
    let first_seen = if first.is_empty() { micro } else { first };
    let last = event.str_at(&["lastTimestamp"]);
    let mut last_seen = if last.is_empty() { first_seen } else { last };
    let count = event.get(&["count"]).and_then(Value::as_i64).unwrap_or(0);
    let mut times = if count == 0 { 1 } else { count };
    if let Some(series) = event.get(&["series"]) {
        let seen = series.get("lastObservedTime").and_then(Value::as_str);
        last_seen = seen.unwrap_or(last_seen);
        times = series.get("count").and_then(Value::as_i64).unwrap_or(times);
    }
    let about = |name: &str| event.str_at(&["involvedObject", name]);
    let target = match (about("kind").to_lowercase(), about("name")) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    vec![
        json!(time::age(last_seen, now)),
        json!(event.str_at(&["type"])),
        json!(event.str_at(&["reason"])),
        json!(target),
        json!(about("fieldPath")),
        json!(reporter(event)),
        json!(event.str_at(&["message"]).trim()),
        json!(time::age(first_seen, now)),
        json!(times.to_string()),
        json!(event.name()),
    ]
}

fn reporter(event: &Object) -> String {
    let (component, host) = match event.str_at(&["source", "component"]) {
        "" => (
            event.str_at(&["reportingComponent"]),
            event.str_at(&["reportingInstance"]),
        ),
        component => (component, event.str_at(&["source", "host"])),
    };
    match host {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}
