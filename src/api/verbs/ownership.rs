//! Who owns which field: what a write tells `meta::apply` about itself. Must not know how ownership
//! is worked out.

use super::write::Change;
use crate::meta::apply::{self, FieldSet, Tracking};
use crate::meta::{ApiError, Object};
use crate::resources::Part;
use std::sync::OnceLock;

/// Notes what a create, update or patch has changed as owned by its manager.
pub(super) fn track(change: &Change<'_>, new: &mut Object, old: Option<&Object>) {
    let api_version = change.target.def.api_version();
    let manager = manager(change);
    apply::update(old, new, &tracking(change, &api_version, &manager));
}

/// The object that an apply makes of the present one.
pub(crate) fn apply(
    change: &Change<'_>,
    config: &Object,
    live: Option<&Object>,
) -> Result<Object, ApiError> {
    let api_version = change.target.def.api_version();
    let manager = manager(change);
    let by = tracking(change, &api_version, &manager);
    apply::apply(live, config, &by, change.options.force)
}

fn manager(change: &Change<'_>) -> String {
    change.options.field_manager(change.context.user_agent())
}

fn tracking<'a>(change: &'a Change<'_>, api_version: &'a str, manager: &'a str) -> Tracking<'a> {
    Tracking {
        manager,
        api_version,
        subresource: &change.target.subresource,
        now: change.server.clock.now(),
        schema: Some(change.target.def.schema.get().root()),
        reset: reset(change),
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
