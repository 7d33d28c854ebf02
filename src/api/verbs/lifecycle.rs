//! What is done with a row until the table does it itself: shape, defaults, preparation, checks.
//! Must not know verbs.

use crate::meta::{ApiError, FieldError, Object, names};
use crate::resources::{Part, ResourceDef};
use serde_json::Value;

/// An object that was decoded, and the paths of the fields that its kind does not have.
pub(crate) struct Decoded {
    pub(crate) object: Object,
    pub(crate) unknown_fields: Vec<String>,
}

pub(crate) trait Lifecycle {
    fn decode(&self, body: Value) -> Result<Decoded, ApiError>;
    fn cannot_be_handled(&self, why: &str) -> ApiError;
    fn default(&self, object: &mut Object);
    fn prepare_for_create(&self, object: &mut Object);
    fn check(&self, object: &Object) -> Result<(), ApiError>;
    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object);
    fn check_update(&self, part: Part, new: &Object, old: &Object) -> Result<(), ApiError>;
    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String>;
    fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> Option<i64>;
}

impl Lifecycle for ResourceDef {
    fn decode(&self, body: Value) -> Result<Decoded, ApiError> {
        let object = Object::from_value(body)
            .ok_or_else(|| self.cannot_be_handled("the object provided is no JSON object"))?;
        Ok(Decoded {
            object,
            unknown_fields: Vec::new(),
        })
    }

    fn cannot_be_handled(&self, why: &str) -> ApiError {
        ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            self.kind, self.version, self.kind
        ))
    }

    fn default(&self, object: &mut Object) {
        self.strategy.default(object);
    }

    fn prepare_for_create(&self, object: &mut Object) {
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "generation",
        ] {
            object.remove(&["metadata", field]);
        }
        if self.strategy.tracks_generation() {
            object.set(&["metadata", "generation"], 1.into());
        }
        self.strategy.prepare_for_create(object);
    }

    fn check(&self, object: &Object) -> Result<(), ApiError> {
        let mut errors = Vec::new();
        if object.name().is_empty() {
            let detail = "name or generateName is required";
            errors.push(FieldError::required("metadata.name", detail));
        } else {
            for detail in names::dns1123_subdomain(object.name()) {
                errors.push(FieldError::invalid("metadata.name", object.name(), detail));
            }
        }
        errors.extend(self.strategy.validate(object));
        answer(self, object, &errors)
    }

    fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ] {
            if let Some(value) = old.get(&["metadata", field]) {
                new.set(&["metadata", field], value.clone());
            }
        }
        self.strategy.prepare_for_update(part, new, old);
        if self.strategy.tracks_generation() && self.strategy.is_new_generation(new, old) {
            new.set(&["metadata", "generation"], (old.generation() + 1).into());
        }
    }

    fn check_update(&self, part: Part, new: &Object, old: &Object) -> Result<(), ApiError> {
        answer(self, new, &self.strategy.validate_update(part, new, old))
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        self.strategy.warnings(new, old)
    }

    fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> Option<i64> {
        self.strategy.grace_seconds(object, requested)
    }
}

fn answer(def: &ResourceDef, object: &Object, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(
        &def.group,
        &def.kind,
        object.name(),
        errors,
    ))
}
