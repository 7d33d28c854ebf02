//! What holds for the metadata of every object, on create and on update. Must not know kinds.
//! Kubernetes: apimachinery `api/validation` objectmeta, apiserver `registry/rest` create, update.

use super::at::{At, Errors};
use crate::meta::{FieldError, FieldErrorKind, Object, names};
use crate::resources::def::ResourceDef;
use serde_json::Value;

/// All annotations of an object together (bytes).
pub const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Metadata fields that an update may not change.
const IMMUTABLE: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Checks the metadata of a new object, after its name was generated.
pub fn validate(def: &ResourceDef, object: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let metadata = At::of(object, "metadata");
    name(def, &metadata, &mut errors);
    let generation = metadata.field("generation");
    errors.not_negative(&generation);
    labels(&metadata.field("labels"), &mut errors);
    annotations(&metadata.field("annotations"), &mut errors);
    owners(&metadata.field("ownerReferences"), &mut errors);
    finalizers(&metadata.field("finalizers"), &mut errors);
    errors.0
}

/// Checks what an update does to the metadata.
pub fn validate_update(def: &ResourceDef, new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors(validate(def, new));
    let metadata = At::of(new, "metadata");
    if old.deletion_timestamp().is_some() {
        let old: Vec<&str> = old.finalizers().collect();
        let added: Vec<String> = new
            .finalizers()
            .filter(|f| !old.contains(f))
            .map(|f| format!("{f:?}"))
            .collect();
        if !added.is_empty() {
            errors.forbidden(
                &metadata.field("finalizers"),
                format!(
                    "no new finalizers can be added if the object is being deleted, found new \
                     finalizers []string{{{}}}",
                    added.join(", ")
                ),
            );
        }
    }
    if new.generation() < old.generation() {
        let at = metadata.field("generation");
        errors.invalid_as(&at, new.generation(), "must not be decremented");
    }
    for field in IMMUTABLE {
        let old = old.get(&["metadata", field]).unwrap_or(&Value::Null);
        errors.immutable(&metadata.field(field), old);
    }
    errors.0
}

/// Metadata that a creator may not set.
pub fn prepare_for_create(object: &mut Object) {
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ] {
        object.remove(&["metadata", field]);
    }
}

/// Metadata that an updater may leave out and cannot change.
pub fn prepare_for_update(new: &mut Object, old: &Object) {
    if new.uid().is_empty() && !old.uid().is_empty() {
        new.set(&["metadata", "uid"], old.uid().into());
    }
    new.remove(&["metadata", "selfLink"]);
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if let Some(value) = old.get(&["metadata", field]) {
            new.set(&["metadata", field], value.clone());
        }
    }
}

fn name(def: &ResourceDef, metadata: &At<'_, '_>, errors: &mut Errors) {
    let strategy = def.strategy;
    let (name, generate) = (metadata.field("name"), metadata.field("generateName"));
    if !generate.str().is_empty() {
        errors.invalid_all(&generate, strategy.name_errors(generate.str(), true));
    }
    if name.str().is_empty() {
        errors.required(&name, "name or generateName is required");
    } else {
        errors.invalid_all(&name, strategy.name_errors(name.str(), false));
    }
    let namespace = metadata.field("namespace");
    match (def.is_namespaced(), namespace.str()) {
        (true, "") => errors.required(&namespace, ""),
        (true, text) => errors.invalid_all(&namespace, names::dns1123_label(text)),
        (false, "") => {}
        (false, _) => errors.forbidden(&namespace, "not allowed on this type"),
    }
}

/// Checks labels; also used for the labels of templates and selectors.
pub fn labels(at: &At<'_, '_>, errors: &mut Errors) {
    for (key, value) in at.entries() {
        for detail in names::qualified_name(key) {
            errors.invalid_as(at, key, detail);
        }
        let text = value.as_str().unwrap_or_default();
        for detail in names::label_value(text) {
            errors.invalid_as(at, text, detail);
        }
    }
}

/// Checks annotations.
pub fn annotations(at: &At<'_, '_>, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in at.entries() {
        for detail in names::qualified_name(&key.to_lowercase()) {
            errors.invalid_as(at, key, detail);
        }
        bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        errors.too_long(at, ANNOTATIONS_MAX_BYTES);
    }
}

fn owners(at: &At<'_, '_>, errors: &mut Errors) {
    let mut controller: Option<&str> = None;
    for owner in at.items() {
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            let field = owner.field(field);
            if field.str().is_empty() {
                errors.invalid_as(&field, "", detail);
            }
        }
        if owner.field("kind").str() == "Event" && owner.field("apiVersion").str() == "v1" {
            let at = At::root(owner.value, "metadata.ownerReferences");
            errors.invalid(&at, "/v1, Kind=Event is disallowed from being an owner");
        }
        if !owner.field("controller").bool() {
            continue;
        }
        let name = owner.field("name").str();
        match controller {
            None => controller = Some(name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in \
                     references for {first} and {name}"
                );
                errors.invalid(at, detail);
            }
        }
    }
}

fn finalizers(at: &At<'_, '_>, errors: &mut Errors) {
    let mut deletion = [false, false];
    for item in at.items() {
        let text = item.str();
        for detail in names::qualified_name(text) {
            errors.invalid_as(at, text, detail);
        }
        if !text.contains('/') && !STANDARD_FINALIZERS.contains(&text) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid_as(&item, text, detail);
        }
        match text {
            "orphan" => deletion[0] = true,
            "foregroundDeletion" => deletion[1] = true,
            _ => {}
        }
    }
    if deletion == [true, true] {
        errors.0.push(FieldError::new(
            FieldErrorKind::Invalid,
            at.path(),
            at.value.clone(),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}
