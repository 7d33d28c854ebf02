//! What the kinds of this group share: rolling updates by number or percent, counts of a status.
//! Kubernetes: `pkg/apis/apps/validation`.

use crate::meta::Object;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

pub(super) use crate::resources::validate::int_or_percent::{
    at_most_all, not_negative as amount, number,
};

/// Checks that counts of the status are not negative.
pub(super) fn counts(status: &At<'_, '_>, fields: &[&str], errors: &mut Errors) {
    for field in fields {
        errors.not_negative(&status.field(field));
    }
}

/// Checks that no count is greater than another: (count, limit, words).
pub(super) fn ordered(
    status: &At<'_, '_>,
    pairs: &[(&str, &str, &'static str)],
    errors: &mut Errors,
) {
    for (count, limit, words) in pairs {
        let at = status.field(count);
        if at.number() > status.field(limit).number() {
            errors.invalid_as(&at, at.number(), *words);
        }
    }
}

/// Checks that the count of hash collisions does not shrink.
pub(super) fn collisions(new: &Object, old: &Object, errors: &mut Errors) {
    let status = At::of(new, "status");
    let (now, before) = (
        status.field("collisionCount"),
        old.get(&["status", "collisionCount"]),
    );
    if let Some(before) = before.and_then(Value::as_i64)
        && now.number() < before
    {
        errors.invalid_as(&now, now.number(), "cannot be decremented");
    }
}

/// Checks that the selector stays what it was.
pub(super) fn fixed_selector(new: &Object, old: &Object, errors: &mut Errors) {
    let spec = At::of(new, "spec");
    let before = old.get(&["spec", "selector"]).unwrap_or(&Value::Null);
    errors.immutable(&spec.field("selector"), before);
}

/// Warnings of a template that is new or has changed.
pub(super) fn template_warnings(new: &Object, old: Option<&Object>) -> Vec<String> {
    let path = ["spec", "template"];
    if old.is_some_and(|old| old.get(&path) == new.get(&path)) {
        return Vec::new();
    }
    let spec = At::of(new, "spec");
    crate::resources::template::warnings(&spec.field("template"))
}
