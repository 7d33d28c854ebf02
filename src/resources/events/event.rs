//! Event of `events.k8s.io`: another view of the core Event's store. Fields have other names; the
//! conversion is lossless.
//! Kubernetes: `pkg/apis/events/v1` conversion.

use crate::meta::Object;
use crate::resources::core::event::{COLUMNS, EventStrategy};
use crate::resources::def::{Conversion, ResourceDef, SelectableField, text};
use crate::resources::schema::SchemaSource;
use jiff::Timestamp;
use serde_json::Value;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("events.k8s.io", "v1", "Event"),
    "EventList",
    ("events", "event"),
    SchemaSource::of::<k8s_openapi::api::events::v1::Event>(),
    &EventStrategy,
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
.conversion(Conversion {
    stored: ("", "v1"),
    to_stored,
    from_stored,
})
.example(
    r#"{"metadata":{"name":"example","namespace":"default"},"eventTime":"2024-01-01T00:00:00.000000Z","action":"Test","reason":"Test","type":"Normal","reportingController":"test","reportingInstance":"test-0","regarding":{"kind":"Pod","namespace":"default","name":"p"}}"#,
)
.relaxed_durability();

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
