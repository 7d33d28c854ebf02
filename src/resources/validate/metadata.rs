//! What holds for the metadata of every object, on create and on update. Must not know kinds.
//! Kubernetes: apimachinery `api/validation` objectmeta, apiserver `registry/rest` create, update.

use super::at::{At, Errors};
use crate::meta::{FieldError, FieldErrorKind, Object, names};
use crate::resources::def::ResourceDef;
use serde_json::Value;
use std::collections::BTreeSet;

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
    common(def, &metadata, &mut errors);
    standard_finalizers(def, &metadata.field("finalizers"), &mut errors);
    errors.0
}

fn common(def: &ResourceDef, metadata: &At<'_, '_>, errors: &mut Errors) {
    name(def, metadata, errors);
    let generation = metadata.field("generation");
    errors.not_negative(&generation);
    labels(&metadata.field("labels"), errors);
    annotations(&metadata.field("annotations"), errors);
    owners(&metadata.field("ownerReferences"), errors);
    finalizers(&metadata.field("finalizers"), errors);
}

/// Checks what an update does to the metadata.
pub fn validate_update(def: &ResourceDef, new: &Object, old: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let metadata = At::of(new, "metadata");
    common(def, &metadata, &mut errors);
    if old.deletion_timestamp().is_some() {
        let old: Vec<&str> = old.finalizers().collect();
        let new = new.finalizers().filter(|f| !old.contains(f));
        let added: BTreeSet<String> = new.map(|f| format!("{f:?}")).collect();
        let added: Vec<String> = added.into_iter().collect();
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
    standard_finalizers(def, &metadata.field("finalizers"), &mut errors);
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
    let strategy = &def.strategy;
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

/// Owner references. Kubernetes' paths do not say which of them is wrong.
fn owners(at: &At<'_, '_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for owner in at.items() {
        let version = owner.field("apiVersion").str();
        let mut parts = version.split('/');
        let last = parts.next_back().unwrap_or_default();
        if last.is_empty() || parts.count() > 1 {
            let detail = "version must not be empty";
            errors.invalid_as(&at.field("apiVersion"), version, detail);
        }
        for field in ["kind", "name", "uid"] {
            if owner.field(field).str().is_empty() {
                errors.invalid_as(&at.field(field), "", "must not be empty");
            }
        }
        if owner.field("kind").str() == "Event" && version == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.invalid_as(at, owner.value.clone(), detail);
        }
        if !owner.field("controller").bool() {
            continue;
        }
        let name = format!(
            "{}/{}",
            owner.field("kind").str(),
            owner.field("name").str()
        );
        match &controller {
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

/// Finalizers without a domain are Kubernetes' own. Some kinds do not ask.
fn standard_finalizers(def: &ResourceDef, at: &At<'_, '_>, errors: &mut Errors) {
    if def.strategy.has_standard_finalizers() {
        for item in at.items() {
            finalizer(&item, item.str(), errors);
        }
    }
}

/// A finalizer that has no domain must be one that Kubernetes knows; told at `at`.
pub fn finalizer(at: &At<'_, '_>, text: &str, errors: &mut Errors) {
    if !text.contains('/') && !STANDARD_FINALIZERS.contains(&text) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.invalid_as(at, text, detail);
    }
}
