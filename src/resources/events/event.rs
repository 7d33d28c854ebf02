//! Event of `events.k8s.io`: another view of the core Event's store. Fields have other names; the
//! conversion is lossless.
//! Kubernetes: `pkg/apis/events/v1` conversion.

use crate::meta::{FieldError, Object};
use crate::resources::core::event::{COLUMNS, either, legacy};
use crate::resources::def::{Conversion, ResourceDef, SelectableField, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("events.k8s.io", "v1", "Event"),
    "EventList",
    ("events", "event"),
    SchemaSource::of::<k8s_openapi::api::events::v1::Event>(),
    &NewEventStrategy,
)
.short_names(const { &[text("ev")] })
.columns(COLUMNS, row)
.selectable_fields(
    const {
        &[
            SelectableField::path("reason"),
            SelectableField::path("regarding.kind"),
            SelectableField::path("regarding.namespace"),
            SelectableField::path("regarding.name"),
            SelectableField::path("regarding.uid"),
            SelectableField::path("regarding.apiVersion"),
            SelectableField::path("regarding.resourceVersion"),
            SelectableField::path("regarding.fieldPath"),
            SelectableField::path("reportingController"),
            SelectableField::path("type"),
        ]
    },
)
.conversion(Conversion::between(("", "v1"), to_stored, from_stored))
.example(
    r#"{"metadata":{"name":"example","namespace":"default"},"eventTime":"2024-01-01T00:00:00.000000Z","action":"Test","reason":"Test","type":"Normal","reportingController":"test","reportingInstance":"test-0","regarding":{"kind":"Pod","namespace":"default","name":"p"}}"#,
)
.relaxed_durability();

/// What an Event of this group does beyond its shape: it is asked for more than a core Event.
/// Kubernetes: `pkg/apis/core/validation` ValidateEventCreate, ValidateEventUpdate.
pub struct NewEventStrategy;

impl Strategy for NewEventStrategy {
    fn validate(&self, event: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        legacy(event, &mut errors);
        series(event, &mut errors);
        let time = At::of(event, "eventTime");
        if time.str().is_empty() {
            errors.required(&time, "");
        }
        let kind = At::of(event, "type");
        if !matches!(kind.str(), "Normal" | "Warning") {
            let detail = format!("has invalid value: {}", kind.str());
            errors.invalid_as(&kind, "", detail);
        }
        for (field, path) in UNSET {
            let value = event.get(&[field]).unwrap_or(&Value::Null);
            let is_empty = match value {
                Value::Null => true,
                Value::Number(number) => number.as_i64() == Some(0),
                Value::Object(fields) => fields.is_empty(),
                _ => false,
            };
            if !is_empty {
                errors.invalid_as(&At::root(value, path), "", "needs to be unset");
            }
        }
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        legacy(new, &mut errors);
        if new.get(&["series"]) != old.get(&["series"]) {
            series(new, &mut errors);
        }
        for (field, path) in FIXED {
            let value = either(new, field, field);
            errors.immutable(&At::root(value, path), either(old, field, field));
        }
        errors.0
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

fn series(event: &Object, errors: &mut Errors) {
    let series = At::of(event, "series");
    if !series.is_set() {
        return;
    }
    if series.field("count").number() < 2 {
        errors.invalid_as(&series.field("count"), "", "should be at least 2");
    }
    let last = series.field("lastObservedTime");
    if last.str().is_empty() {
        errors.required(&last, "");
    }
}

/// Fields of older reporters that a new Event may not have, and Kubernetes' paths of them.
const UNSET: &[(&str, &str)] = &[
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("deprecatedSource", "source"),
];

/// Fields that an update may not change, and Kubernetes' paths of them.
const FIXED: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// Served name, stored name.
const NAMES: &[(&str, &str)] = &[
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn to_stored(event: &mut Object) {
    for (served, stored) in NAMES {
        rename(event, served, stored);
    }
    event.set(&["apiVersion"], "v1".into());
}

fn from_stored(event: &mut Object) {
    for (served, stored) in NAMES {
        rename(event, stored, served);
    }
    event.set(&["apiVersion"], "events.k8s.io/v1".into());
}

fn row(event: &Object, now: Timestamp) -> Vec<Value> {
    let mut stored = event.clone();
    to_stored(&mut stored);
    crate::resources::core::event::row(&stored, now)
}

fn rename(event: &mut Object, from: &str, to: &str) {
    if let Some(value) = event.remove(&[from]) {
        event.set(&[to], value);
    }
}
