//! What bindings in a namespace and in the cluster share: the role they name and who gets it.
//! Kubernetes: `pkg/apis/rbac/validation`, `pkg/printers/internalversion` printRoleBinding.

use super::GROUP;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, objects, set};
use crate::resources::def::Column;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("Role", "The role that is given."),
    columns::age_column(),
    Column::wide("Users", "Users who have the role."),
    Column::wide("Groups", "Groups that have the role."),
    Column::wide("ServiceAccounts", "Service accounts that have the role."),
];

/// Who is meant is of this group unless it is a service account.
pub(super) fn default(binding: &mut Object) {
    if let Some(role) = child(binding.fields_mut(), "roleRef") {
        set(role, "apiGroup", json!(GROUP));
    }
    for subject in objects(binding.fields_mut(), "subjects") {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            set(subject, "apiGroup", json!(GROUP));
        }
    }
}

/// Everything that is wrong with a binding to one of these kinds of roles.
pub(super) fn validate(binding: &Object, roles: &[&str], namespaced: bool) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let role = At::of(binding, "roleRef");
    errors.one_of(&role.field("apiGroup"), &[GROUP]);
    errors.one_of(&role.field("kind"), roles);
    let name = role.field("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        errors.invalid_all(&name, names::path_segment(name.str()));
    }
    for subject in At::of(binding, "subjects").items() {
        self::subject(&subject, namespaced, &mut errors);
    }
    errors.0
}

/// Everything that is wrong with an update: the role stays.
pub(super) fn validate_update(
    new: &Object,
    old: &Object,
    roles: &[&str],
    namespaced: bool,
) -> Vec<FieldError> {
    let mut errors = Errors(validate(new, roles, namespaced));
    let role = At::of(new, "roleRef");
    if old.get(&["roleRef"]) != Some(role.value) {
        // Kubernetes shows its inner form, whose names begin with capitals.
        let text = |name: &str| json!(role.field(name).str());
        let shown = json!({
            "APIGroup": text("apiGroup"), "Kind": text("kind"), "Name": text("name"),
        });
        errors.invalid_as(&role, shown, "cannot change roleRef");
    }
    errors.0
}

fn subject(subject: &At<'_, '_>, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (subject.field("name"), subject.field("apiGroup"));
    if name.str().is_empty() {
        errors.required(&name, "");
    }
    match subject.field("kind").str() {
        "ServiceAccount" => {
            if !name.str().is_empty() {
                errors.invalid_all(&name, names::dns1123_subdomain(name.str()));
            }
            if !group.str().is_empty() {
                errors.not_supported(&group, &[""]);
            }
            let namespace = subject.field("namespace");
            if !namespaced && namespace.str().is_empty() {
                errors.required(&namespace, "");
            }
        }
        kind @ ("User" | "Group") => {
            if name.str().is_empty() {
                let detail = format!("{} name cannot be empty", kind.to_lowercase());
                errors.invalid_as(&name, "", detail);
            }
            errors.one_of(&group, &[GROUP]);
        }
        _ => errors.not_supported(&subject.field("kind"), &["ServiceAccount", "User", "Group"]),
    }
}

pub(super) fn row(binding: &Object, now: Timestamp) -> Vec<Value> {
    let role = At::of(binding, "roleRef");
    let subjects = At::of(binding, "subjects");
    let of = |kind: &str| {
        let ours = subjects.items().filter(|s| s.field("kind").str() == kind);
        let names = ours.map(|subject| match kind {
            "ServiceAccount" => {
                let (namespace, name) = (subject.field("namespace"), subject.field("name"));
                format!("{}/{}", namespace.str(), name.str())
            }
            _ => subject.field("name").str().to_owned(),
        });
        json!(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        json!(binding.name()),
        json!(format!(
            "{}/{}",
            role.field("kind").str(),
            role.field("name").str()
        )),
        columns::age(binding, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}
