//! What the API does with a row, in Kubernetes' order: decode, default, prepare, validate. Joins
//! what holds for all kinds (shape, metadata, generation) with the row's strategy. Must not know
//! verbs or storage.
//! Kubernetes: apiserver `registry/rest` BeforeCreate, BeforeUpdate, BeforeDelete.

use crate::meta::{ApiError, FieldError, Object};
use crate::resources::def::ResourceDef;
use crate::resources::strategy::Part;
use crate::resources::validate::metadata;
use crate::resources::zeros;
use serde_json::Value;

/// An object that was decoded, and the paths of the fields that its kind does not have.
#[derive(Debug)]
pub struct DecodedObject {
    /// The object, with only known fields.
    pub object: Object,
    /// `spec.containers[0].nmae`; told as `unknown field "<path>"` under field validation.
    pub unknown_fields: Vec<String>,
}

impl ResourceDef {
    /// Decodes a body of this kind. The error is the 400 that a Kubernetes client sees.
    pub fn decode(&self, mut body: Value) -> Result<DecodedObject, ApiError> {
        let decoded = self.schema.get().decode(&mut body);
        let decoded = decoded.map_err(|error| self.cannot_be_handled(&error.to_string()))?;
        match Object::from_value(body) {
            Some(object) => Ok(DecodedObject {
                object,
                unknown_fields: decoded.unknown_fields,
            }),
            None => Err(self.cannot_be_handled("the object provided is no JSON object")),
        }
    }

    /// `Pod in version "v1" cannot be handled as a Pod: why` (400). For strict field validation
    /// `why` is `strict decoding error: unknown field "a", unknown field "b"`.
    pub fn cannot_be_handled(&self, why: &str) -> ApiError {
        ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            self.kind, self.version, self.kind
        ))
    }

    /// Fills in defaults.
    pub fn default(&self, object: &mut Object) {
        self.strategy.default(object);
        zeros::fill(self, object);
    }

    /// Takes out what a creator may not set; starts the generation.
    pub fn prepare_for_create(&self, object: &mut Object) {
        metadata::prepare_for_create(object);
        object.remove(&["metadata", "generation"]);
        if self.strategy.tracks_generation() {
            object.set(&["metadata", "generation"], 1.into());
        }
        self.strategy.prepare_for_create(object);
    }

    /// Everything that is wrong with a new object.
    pub fn validate(&self, object: &Object) -> Vec<FieldError> {
        if !self.strategy.checks_metadata() {
            let errors = self.strategy.validate(object);
            if !errors.is_empty() {
                return errors;
            }
            return metadata::validate(self, object);
        }
        let mut errors = metadata::validate(self, object);
        errors.extend(self.strategy.validate(object));
        errors
    }

    /// `Pod "x" is invalid: ..` (422) if anything is wrong with a new object.
    pub fn check(&self, object: &Object) -> Result<(), ApiError> {
        self.answer(object, &self.validate(object))
    }

    /// Takes back what an update of this part may not change, and counts the generation.
    pub fn prepare_for_update(&self, part: Part, new: &mut Object, old: &Object) {
        metadata::prepare_for_update(new, old);
        match old.get(&["metadata", "generation"]) {
            Some(generation) => new.set(&["metadata", "generation"], generation.clone()),
            None => {
                new.remove(&["metadata", "generation"]);
            }
        }
        self.strategy.prepare_for_update(part, new, old);
        // What a status says of an object is no new wish, even where it changes annotations.
        let counts = part != Part::Status && self.strategy.tracks_generation();
        if counts && self.strategy.is_new_generation(new, old) {
            new.set(&["metadata", "generation"], (old.generation() + 1).into());
        }
    }

    /// Everything that is wrong with an update of this part.
    pub fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = metadata::validate_update(self, new, old);
        errors.extend(self.strategy.validate_update(part, new, old));
        errors
    }

    /// `Pod "x" is invalid: ..` (422) if anything is wrong with an update of this part.
    pub fn check_update(&self, part: Part, new: &Object, old: &Object) -> Result<(), ApiError> {
        self.answer(new, &self.validate_update(part, new, old))
    }

    /// Texts for `Warning` headers.
    pub fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        self.strategy.warnings(new, old)
    }

    /// How many seconds of grace a deletion gets; `None` where the kind goes at once.
    pub fn grace_seconds(&self, object: &Object, requested: Option<i64>) -> Option<i64> {
        self.strategy.grace_seconds(object, requested)
    }

    fn answer(&self, object: &Object, errors: &[FieldError]) -> Result<(), ApiError> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(
            &self.group,
            &self.kind,
            object.name(),
            errors,
        ))
    }
}
