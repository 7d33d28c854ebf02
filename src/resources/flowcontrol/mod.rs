//! Kinds of the group `flowcontrol.apiserver.k8s.io`: which requests are served first.

pub mod flow_schema;
pub mod priority_level_configuration;

use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// Checks the conditions of a status: each has a type of its own.
fn conditions(status: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for condition in status.field("conditions").items() {
        let kind = condition.field("type");
        if !seen.insert(kind.str()) {
            errors.duplicate_as(&kind, kind.str());
        }
        if kind.str().is_empty() {
            errors.required(&kind, "must not be empty");
        }
    }
}
