//! Event of the core group: what happened to an object. Stored in this form; `events.k8s.io` is
//! another view of the same store.

use crate::meta::Object;
use crate::resources::def::{ResourceDef, SelectableField, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Event"),
    "EventList",
    ("events", "event"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Event>(),
    &EventStrategy,
)
.short_names(const { &[text("ev")] })
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
    fn allows_create_on_update(&self) -> bool {
        true
    }
}
