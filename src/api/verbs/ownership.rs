//! Who owns which field: what a write tells `meta::apply` about itself. Must not know how ownership
//! is worked out.

use super::write::Change;
use crate::meta::apply::{self, FieldSet, Tracking, Versions};
use crate::meta::{ApiError, Object, SchemaNode};
use crate::resources::{DefRef, Part, ResourceDef, Scheme};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Notes what a create, update or patch has changed as owned by its manager.
pub(super) fn track(change: &Change<'_>, new: &mut Object, old: Option<&Object>) {
    With::of(change).told(|by| apply::update(old, new, by));
}

/// What a configuration is refused for as it was sent.
pub(crate) fn check(change: &Change<'_>, config: &Object) -> Result<(), ApiError> {
    With::of(change).told(|by| apply::check_config(config, by))
}

/// The object that an apply makes of the present one.
pub(crate) fn apply(
    change: &Change<'_>,
    config: &Object,
    live: Option<&Object>,
) -> Result<Object, ApiError> {
    let force = change.options.force;
    With::of(change).told(|by| apply::apply(live, config, by, force))
}

/// What is told, as long as it is needed.
struct With<'a> {
    change: &'a Change<'a>,
    api_version: String,
    manager: String,
    rows: Rows<'a>,
}

impl<'a> With<'a> {
    fn of(change: &'a Change<'a>) -> Self {
        Self {
            change,
            api_version: change.target.def.api_version(),
            manager: change.options.field_manager(change.context.user_agent()),
            rows: Rows {
                scheme: change.server.registry.scheme(),
                def: &change.target.def,
            },
        }
    }

    fn told<T>(&self, then: impl FnOnce(&Tracking<'_>) -> T) -> T {
        then(&Tracking {
            manager: &self.manager,
            api_version: &self.api_version,
            subresource: &self.change.target.subresource,
            now: self.change.server.clock.now(),
            schema: Some(self.change.target.def.schema.get().root()),
            reset: reset(self.change),
            versions: Some(&self.rows),
        })
    }
}

/// The versions of a kind: the rows that show what is stored under one prefix.
struct Rows<'a> {
    scheme: Arc<Scheme>,
    def: &'a ResourceDef,
}

impl Rows<'_> {
    fn row(&self, api_version: &str) -> Option<&DefRef> {
        let row = self.scheme.by_api_version(api_version, &self.def.kind);
        row.filter(|row| row.storage_prefix == self.def.storage_prefix)
    }
}

impl Versions for Rows<'_> {
    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value> {
        let (from, to) = (self.row(from)?, self.row(to)?);
        let mut object = Object::from_value(object.clone())?;
        if let Some(conversion) = &from.conversion {
            conversion.to_stored(&mut object);
        }
        if let Some(conversion) = &to.conversion {
            conversion.from_stored(&mut object);
        }
        Some(object.into_value())
    }

    fn schema(&self, api_version: &str) -> Option<&dyn SchemaNode> {
        let schema = self.row(api_version)?.schema.get();
        Some(schema.root())
    }
}

/// What the endpoint does not write, and so does not own.
fn reset(change: &Change<'_>) -> &'static FieldSet {
    static NOTHING: OnceLock<FieldSet> = OnceLock::new();
    static OF_MAIN: OnceLock<FieldSet> = OnceLock::new();
    static OF_STATUS: OnceLock<FieldSet> = OnceLock::new();
    match change.part {
        Part::Main if change.target.def.strategy.has_status() => {
            OF_MAIN.get_or_init(|| FieldSet::of_fields(&[&["status"]]))
        }
        Part::Status => OF_STATUS.get_or_init(|| {
            FieldSet::of_fields(&[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ])
        }),
        _ => NOTHING.get_or_init(FieldSet::new),
    }
}
