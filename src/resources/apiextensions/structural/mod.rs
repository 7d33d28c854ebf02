//! The schema of a custom resource, read once from a version's `openAPIV3Schema`: what is kept of an
//! object, what is filled in, what its values must be. One recursive type for the schema itself and for
//! what stands below `allOf`, `anyOf`, `oneOf` and `not`. Whether a schema is structural is checked when
//! its CustomResourceDefinition is written; here it is taken as it is. Must not know requests.
//! Kubernetes: apiextensions-apiserver `pkg/apiserver/schema`.

mod defaulting;
pub(super) mod formats;
mod lists;
pub(crate) mod metadata;
mod parse;
mod prune;
mod value;

#[cfg(test)]
mod tests;

pub use lists::duplicates;
pub use metadata::{embedded, embedded_value, fit_embedded};
pub use value::{Seen, validate, validate_update};

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The type of a value. Where none is said, anything may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are JSON schema's own")]
pub enum Type {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    /// As in a schema; empty for any.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// How a list is owned and merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// As a whole; also where nothing is said.
    #[default]
    Atomic,
    /// Items are their own keys.
    Set,
    /// Some fields of an item are its key.
    Map,
}

/// What stands at keys that `properties` does not name.
#[derive(Debug, Default)]
pub enum Additional {
    /// Nothing is said: such keys are unknown.
    #[default]
    Unsaid,
    /// Allowed or not, without a schema.
    Allowed(bool),
    /// Values of this schema.
    Of(Box<Structural>),
}

/// One rule of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The expression.
    pub rule: String,
    /// What is told when it is broken.
    pub message: String,
    /// An expression that makes what is told.
    pub message_expression: String,
    /// The kind of error: `FieldValueInvalid` and its like; empty for that one.
    pub reason: String,
    /// Which field is told, below the one with the rule: `.spec.test`.
    pub field_path: String,
    /// Whether a rule that names `oldSelf` also runs when there is none.
    pub optional_old_self: Option<bool>,
}

/// What the values must be, types apart.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the names are JSON schema's own")]
pub struct ValueRules {
    /// A format that Kubernetes checks; others are left out when the schema is read.
    pub format: Box<str>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: Box<str>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub unique_items: bool,
    pub multiple_of: Option<f64>,
    pub enumeration: Vec<Value>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<Box<str>>,
    pub all_of: Vec<Structural>,
    pub any_of: Vec<Structural>,
    pub one_of: Vec<Structural>,
    pub not: Option<Box<Structural>>,
    /// The pattern, compiled when it is first needed.
    pub(super) expression: OnceLock<Result<Arc<regex::Regex>, String>>,
}

/// A schema.
#[derive(Debug, Default)]
pub struct Structural {
    /// `type`.
    pub kind: Type,
    /// Whether null may stand here.
    pub nullable: bool,
    /// `default`; a default of null is none.
    pub default: Option<Value>,
    /// `items`.
    pub items: Option<Box<Self>>,
    /// `properties`.
    pub properties: BTreeMap<Box<str>, Self>,
    /// `additionalProperties`.
    pub additional: Additional,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: ListType,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<Box<str>>,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic_map: bool,
    /// `x-kubernetes-validations`.
    pub validations: Vec<Rule>,
    /// What the values must be.
    pub rules: ValueRules,
}

impl Structural {
    /// The schema of the values at keys that are not named.
    pub fn additional_schema(&self) -> Option<&Self> {
        match &self.additional {
            Additional::Of(schema) => Some(schema),
            _ => None,
        }
    }

    /// The schema at a key: of the property, or of all others.
    pub fn at_key(&self, key: &str) -> Option<&Self> {
        self.properties
            .get(key)
            .or_else(|| self.additional_schema())
    }

    /// Whether any rule stands here or below.
    pub fn has_validations(&self) -> bool {
        !self.validations.is_empty() || self.below().any(Self::has_validations)
    }

    /// Whether a default stands here or below.
    pub fn has_defaults(&self) -> bool {
        self.default.is_some() || self.structure().any(Self::has_defaults)
    }

    /// The schemas of what is inside: properties, items, other keys.
    fn structure(&self) -> impl Iterator<Item = &Self> {
        let items = self.items.as_deref().into_iter();
        let additional = self.additional_schema().into_iter();
        self.properties.values().chain(items).chain(additional)
    }

    /// All schemas directly below.
    fn below(&self) -> impl Iterator<Item = &Self> {
        let rules = &self.rules;
        let junctors = rules.all_of.iter().chain(&rules.any_of);
        let junctors = junctors.chain(&rules.one_of);
        self.structure().chain(junctors).chain(rules.not.as_deref())
    }
}
