//! The schema of a custom kind: it stands in the stored definition, whose bytes are shared with the
//! cache, and is read when it is first needed. Must not know what the fields of a definition mean
//! beyond where a version's schema is.

use super::Schema;
use super::decode::{DecodeError, Decoded};
use crate::resources::apiextensions::cel_rules::{Report, Validator};
use crate::resources::apiextensions::structural::{Structural, fit_embedded, metadata};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// A version of a stored CustomResourceDefinition.
pub struct Defined {
    definition: Bytes,
    version: String,
    schema: OnceLock<Arc<Schema>>,
    rules: OnceLock<Option<Rules>>,
}

/// The validation rules of a version, and the schema in which they stand.
struct Rules {
    validator: Validator,
    schema: Value,
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    versions: Vec<Version<'a>>,
}

#[derive(Deserialize)]
struct Version<'a> {
    name: String,
    #[serde(borrow)]
    schema: Option<Validation<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Validation<'a> {
    #[serde(rename = "openAPIV3Schema", borrow)]
    schema: Option<&'a RawValue>,
}

impl Defined {
    /// The version of that name; `definition` is the stored object as JSON.
    pub fn new(definition: Bytes, version: &str) -> Self {
        Self {
            definition,
            version: version.to_owned(),
            schema: OnceLock::new(),
            rules: OnceLock::new(),
        }
    }

    /// The schema as it was written, read anew; null if there is none.
    pub fn written(&self) -> Value {
        let definition: Result<Definition<'_>, _> = serde_json::from_slice(&self.definition);
        let versions = definition.into_iter().flat_map(|d| d.spec.versions);
        let schema = versions
            .filter(|version| version.name == self.version)
            .find_map(|version| version.schema?.schema);
        let value = schema.and_then(|raw| serde_json::from_str(raw.get()).ok());
        value.unwrap_or_default()
    }

    /// The schema, made now if nobody has asked before.
    pub fn schema(&self) -> &Arc<Schema> {
        self.schema
            .get_or_init(|| Arc::new(Schema::custom(&self.written())))
    }

    /// Runs its validation rules for an object, and for one that replaces another; none if it has
    /// no rules. They are compiled when they are first run.
    pub fn run_rules(&self, object: &Value, old: Option<&Value>) -> Option<Report> {
        let rules = self.rules()?;
        Some(rules.validator.run(&rules.schema, object, old))
    }

    /// Whether it has validation rules.
    pub fn has_rules(&self) -> bool {
        self.rules().is_some()
    }

    fn rules(&self) -> Option<&Rules> {
        let rules = self.rules.get_or_init(|| {
            if !self.structural().has_validations() {
                return None;
            }
            let schema = self.written();
            Validator::of(&schema).map(|validator| Rules { validator, schema })
        });
        rules.as_ref()
    }

    /// What it says of values.
    pub fn structural(&self) -> &Structural {
        static NOTHING: OnceLock<Structural> = OnceLock::new();
        let structural = self.schema().structural();
        structural.unwrap_or_else(|| NOTHING.get_or_init(Structural::default))
    }
}

/// Brings an object of a custom kind to its shape: metadata decoded as everybody's, unknown fields
/// taken out and named, nulls that say nothing dropped.
/// Kubernetes: apiextensions-apiserver `unstructuredSchemaCoercer`.
pub(super) fn decode(schema: &Structural, value: &mut Value) -> Result<Decoded, DecodeError> {
    let Value::Object(fields) = value else {
        return Ok(Decoded::default());
    };
    let mut unknown_fields = metadata::fit(fields, "", false)?;
    unknown_fields.extend(schema.prune(fields));
    schema.drop_nulls(fields);
    let fitted = fit_embedded(schema, fields, false);
    let fitted = fitted.map_err(|error| DecodeError(error.to_string()))?;
    unknown_fields.extend(fitted);
    Ok(Decoded { unknown_fields })
}

/// Brings a stored object to the shape that a schema gives it today: what does not fit goes.
pub(crate) fn refit(schema: &Structural, fields: &mut Map<String, Value>) {
    schema.prune(fields);
    schema.drop_nulls(fields);
    // With `drop`, nothing is an error.
    let _ = fit_embedded(schema, fields, true);
}
