//! Event of the core group: what happened to an object. Stored in this form; `events.k8s.io` is
//! another view of the same store.

use crate::meta::{FieldError, Object, names, time};
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

/// What an Event of the core group does beyond its shape.
pub struct EventStrategy;

impl Strategy for EventStrategy {
    fn validate(&self, event: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        legacy(event, &mut errors);
        errors.0
    }

    fn checks_metadata(&self) -> bool {
        false
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

/// Most bytes of the fields that say who and why.
const WORD_MAX_BYTES: usize = 128;
/// Most bytes of the message.
const NOTE_MAX_BYTES: usize = 1024;

/// The rules of both versions of the kind. Paths are those of Kubernetes' inner form, whose names
/// are neither version's.
pub(crate) fn legacy(event: &Object, errors: &mut Errors) {
    let about = At::root(
        either(event, "involvedObject", "regarding"),
        "involvedObject",
    );
    let namespace = about.field("namespace");
    let is_new = !event.str_at(&["eventTime"]).is_empty();
    let right = match namespace.str() {
        "" if is_new => matches!(event.namespace(), "default" | "kube-system"),
        "" => matches!(event.namespace(), "" | "default"),
        name => is_new || name == event.namespace(),
    };
    if !right {
        let detail = "does not match event.namespace";
        errors.invalid_as(&namespace, namespace.str(), detail);
    }
    if is_new {
        reporter_is_told(event, errors);
    }
    let at = At::root(&Value::Null, "namespace");
    for detail in names::dns1123_subdomain(event.namespace()) {
        errors.invalid_as(&at, event.namespace(), detail);
    }
}

fn reporter_is_told(event: &Object, errors: &mut Errors) {
    let controller = either(event, "reportingComponent", "reportingController");
    let controller = At::root(controller, "reportingController");
    if controller.str().is_empty() {
        errors.required(&controller, "");
    }
    errors.invalid_all(&controller, names::qualified_name(controller.str()));
    for field in ["reportingInstance", "action", "reason"] {
        let at = At::of(event, field);
        if at.str().is_empty() {
            errors.required(&at, "");
        }
        at_most(&at, WORD_MAX_BYTES, errors);
    }
    let note = At::root(either(event, "message", "note"), "message");
    at_most(&note, NOTE_MAX_BYTES, errors);
}

fn at_most(at: &At<'_, '_>, bytes: usize, errors: &mut Errors) {
    if at.str().len() > bytes {
        errors.invalid_as(at, "", format!("can have at most {bytes} characters"));
    }
}

/// A field by its name in the core group, or in `events.k8s.io`.
pub(crate) fn either<'v>(event: &'v Object, core: &str, new: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    event.get(&[core]).or(event.get(&[new])).unwrap_or(&NULL)
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
