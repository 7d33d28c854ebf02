//! What every custom kind does: its schema fills in and refuses, its status is written apart if the
//! definition says so, its generation counts all but metadata. Must not know a kind.
//! Kubernetes: apiextensions-apiserver `pkg/registry/customresource`.

use super::structural::{self, Structural};
use crate::meta::go_json::type_of;
use crate::meta::{FieldError, FieldErrorKind, Object, names};
use crate::resources::autoscaling::scale::ScalePaths;
use crate::resources::schema::Defined;
use crate::resources::strategy::{Part, Strategy, keep};
use serde_json::Value;
use std::sync::Arc;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// The behaviour of a version of a custom kind.
pub(super) struct CustomStrategy {
    pub(super) defined: Arc<Defined>,
    pub(super) has_status: bool,
    pub(super) scale: Option<Arc<ScalePaths>>,
}

/// What stays as it was when a status is written.
const FREE_METADATA: &[&str] = &["managedFields", "resourceVersion"];

impl CustomStrategy {
    fn schema(&self) -> &Structural {
        self.defined.structural()
    }

    /// What is wrong with the numbers of a scale; those that are wanted are not part of a status.
    fn scale_errors(&self, object: &Object, status_only: bool) -> Vec<FieldError> {
        let Some(paths) = &self.scale else {
            return Vec::new();
        };
        let mut errors = Vec::new();
        let wanted = (!status_only).then_some(&paths.wanted);
        for path in wanted.into_iter().chain([&paths.present]) {
            errors.extend(count_error(object, path));
        }
        if let Some(path) = &paths.selector {
            let found = at(object, path);
            if let Some(value) = found.filter(|value| !value.is_string()) {
                let (go, told) = (type_of(value), value);
                let why = format!(
                    ".{} accessor error: {told} is of the type {go}, expected string",
                    path.join(".")
                );
                errors.push(FieldError::invalid(dotted(path), "", why));
            }
        }
        errors
    }

    /// The rules of `x-kubernetes-validations`, which look at a whole object, if nothing that was
    /// found before makes that pointless.
    fn broken_rules(
        &self,
        new: &Value,
        old: Option<&Value>,
        errors: &[FieldError],
    ) -> Vec<FieldError> {
        if !self.defined.has_rules() {
            return Vec::new();
        }
        if errors.iter().any(is_blocking) {
            let detail = format!("null: {NOT_CHECKED}");
            let kind = FieldErrorKind::InvalidOmitted;
            return vec![FieldError::new(kind, "<nil>", Value::Null, detail)];
        }
        let report = self.defined.run_rules(new, old);
        report.map(|report| report.errors).unwrap_or_default()
    }
}

/// What is told where rules were not looked at because more is wrong.
const NOT_CHECKED: &str = "some validation rules were not checked because the object was \
    invalid; correct the existing errors to complete validation";

/// Whether an error makes it pointless to look at rules.
fn is_blocking(error: &FieldError) -> bool {
    matches!(
        error.kind,
        FieldErrorKind::NotSupported
            | FieldErrorKind::Required
            | FieldErrorKind::TooLong
            | FieldErrorKind::TooMany
            | FieldErrorKind::TypeInvalid
    )
}

impl Strategy for CustomStrategy {
    fn default(&self, object: &mut Object) {
        self.schema().fill(object.fields_mut());
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let schema = self.schema();
        let whole = Value::Object(object.fields().clone());
        let mut errors = structural::validate(schema, &whole, "");
        errors.extend(self.scale_errors(object, false));
        errors.extend(structural::embedded(schema, object.fields()));
        errors.extend(structural::duplicates(schema, object.fields()));
        let broken = self.broken_rules(&whole, None, &errors);
        errors.extend(broken);
        errors
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        if part == Part::Main {
            if self.has_status {
                keep(new, old, "status");
            }
            return;
        }
        let status = new.remove(&["status"]);
        let mut kept = old.clone();
        for field in FREE_METADATA {
            match new.remove(&["metadata", field]) {
                Some(value) => kept.set(&["metadata", field], value),
                None => {
                    kept.remove(&["metadata", field]);
                }
            }
        }
        match status {
            Some(status) => kept.set(&["status"], status),
            None => {
                kept.remove(&["status"]);
            }
        }
        *new = kept;
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let schema = self.schema();
        if part != Part::Main {
            let of = |object: &Object| object.get(&["status"]).cloned();
            let mut errors = Vec::new();
            if let (Some(status), Some(below)) = (of(new), schema.properties.get("status")) {
                let before = of(old).unwrap_or_default();
                errors = structural::validate_update(below, &status, &before, "status");
            }
            errors.extend(self.scale_errors(new, true));
            let (whole, before) = (new.clone().into_value(), old.clone().into_value());
            let broken = self.broken_rules(&whole, Some(&before), &errors);
            errors.extend(broken);
            return errors;
        }
        let whole = Value::Object(new.fields().clone());
        let before = Value::Object(old.fields().clone());
        let mut errors = structural::validate_update(schema, &whole, &before, "");
        errors.extend(self.scale_errors(new, false));
        errors.extend(structural::embedded(schema, new.fields()));
        // Lists that were wrong already are not held against an update.
        if structural::duplicates(schema, old.fields()).is_empty() {
            errors.extend(structural::duplicates(schema, new.fields()));
        }
        let broken = self.broken_rules(&whole, Some(&before), &errors);
        errors.extend(broken);
        errors
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let mut warnings = Vec::new();
        let before: Vec<&str> = old.into_iter().flat_map(Object::finalizers).collect();
        let mut added: Vec<&str> = new.finalizers().filter(|f| !before.contains(f)).collect();
        added.sort_unstable();
        for name in added {
            finalizer_warnings(name, &mut warnings);
        }
        // Rules that do not hold for what is as it was are told and not held against the update.
        if let Some(old) = old.filter(|_| self.defined.has_rules()) {
            let (new, old) = (new.clone().into_value(), old.clone().into_value());
            let report = self.defined.run_rules(&new, Some(&old));
            warnings.extend(report.into_iter().flat_map(|report| report.warnings));
        }
        warnings
    }

    fn has_status(&self) -> bool {
        self.has_status
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        let parts = |object: &Object| {
            let mut fields = object.fields().clone();
            fields.remove("metadata");
            if self.has_status {
                fields.remove("status");
            }
            fields
        };
        parts(new) != parts(old)
    }

    fn has_standard_finalizers(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Kubernetes: apiextensions-apiserver `validateKubeFinalizerName`.
fn finalizer_warnings(name: &str, warnings: &mut Vec<String>) {
    let mut warn = |why: &str| warnings.push(format!("metadata.finalizers: {name:?}: {why}"));
    for why in names::qualified_name(name) {
        warn(&why);
    }
    if name.contains('/') || STANDARD_FINALIZERS.contains(&name) {
        return;
    }
    let with = if name.contains('.') {
        " including a path (/)"
    } else {
        ""
    };
    warn(&format!(
        "prefer a domain-qualified finalizer name{with} to avoid accidental conflicts with other \
         finalizer writers"
    ));
}

fn at<'v>(object: &'v Object, path: &[String]) -> Option<&'v Value> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    object.get(&path)
}

fn dotted(path: &[String]) -> String {
    format!(".{}", path.join("."))
}

fn count_error(object: &Object, path: &[String]) -> Option<FieldError> {
    let value = at(object, path)?;
    let count = value.as_i64();
    let why = match count {
        None => {
            let shown = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let go = type_of(value);
            format!(
                "{} accessor error: {shown} is of the type {go}, expected int64",
                dotted(path)
            )
        }
        Some(count) if count < 0 => "should be a non-negative integer".to_owned(),
        Some(count) if i32::try_from(count).is_err() => {
            format!("should be less than or equal to {}", i32::MAX)
        }
        Some(_) => return None,
    };
    Some(FieldError::invalid(dotted(path), count.unwrap_or(0), why))
}
