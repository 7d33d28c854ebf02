//! DeleteOptions, from a DELETE's body and query. Must not know how a deletion goes.

use crate::api::codec;
use crate::api::context::Context;
use crate::api::request_info::is_true;
use crate::meta::{ApiError, FieldError};
use serde_json::Value;

/// What happens to the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Of a request: a body decides, otherwise the query does.
    pub(crate) fn of(context: &Context, body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Self::of_query(context);
        }
        let content_type = codec::content_type(&context.headers);
        let value = codec::decode(&content_type, body)?.value;
        let mut options = Self::of_value(&value)?;
        // kubectl sends a dry run in the query as well.
        if context.parameter("dryRun").as_deref() == Some("All") {
            options.dry_run = true;
        }
        Ok(options)
    }

    fn of_query(context: &Context) -> Result<Self, ApiError> {
        let mut options = Self::default();
        if let Some(text) = context.parameter("gracePeriodSeconds") {
            let seconds = text.parse().map_err(|_| {
                ApiError::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax"
                ))
            })?;
            options.grace_seconds = Some(seconds);
        }
        let propagation = context.parameter("propagationPolicy");
        options.propagation = propagation.map(|text| propagation_of(&text)).transpose()?;
        options.orphan_dependents = context.parameter("orphanDependents").map(|v| is_true(&v));
        match context.parameter("dryRun").as_deref() {
            None | Some("") => {}
            Some("All") => options.dry_run = true,
            Some(other) => return Err(bad_dry_run(other)),
        }
        options.checked()
    }

    /// Of a DeleteOptions object.
    pub(crate) fn of_value(value: &Value) -> Result<Self, ApiError> {
        let mut options = Self::default();
        let kind = value
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("DeleteOptions");
        if !value.is_object() || kind != "DeleteOptions" {
            return Err(ApiError::bad_request(format!(
                "{kind} cannot be handled as a DeleteOptions"
            )));
        }
        options.grace_seconds = match value.get("gracePeriodSeconds") {
            None | Some(Value::Null) => None,
            Some(seconds) => Some(seconds.as_i64().ok_or_else(|| {
                ApiError::bad_request(
                    "json: cannot unmarshal into Go struct field \
                     DeleteOptions.gracePeriodSeconds of type int64",
                )
            })?),
        };
        let precondition = |name: &str| {
            let found = value.get("preconditions")?.get(name)?.as_str()?;
            Some(found.to_owned())
        };
        options.uid = precondition("uid");
        options.resource_version = precondition("resourceVersion");
        let propagation = value.get("propagationPolicy").and_then(Value::as_str);
        options.propagation = propagation.map(propagation_of).transpose()?;
        options.orphan_dependents = value.get("orphanDependents").and_then(Value::as_bool);
        for entry in value
            .get("dryRun")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match entry.as_str() {
                Some("All") => options.dry_run = true,
                other => return Err(bad_dry_run(other.unwrap_or_default())),
            }
        }
        options.checked()
    }

    fn checked(self) -> Result<Self, ApiError> {
        if self.propagation.is_some() && self.orphan_dependents.is_some() {
            let error = FieldError::invalid(
                "propagationPolicy",
                "",
                "orphanDependents and deletionPropagation cannot be both set",
            );
            return Err(invalid(error));
        }
        if self.grace_seconds.is_some_and(|seconds| seconds < 0) {
            // Kubernetes: a negative grace period counts as one second.
            return Ok(Self {
                grace_seconds: Some(1),
                ..self
            });
        }
        Ok(self)
    }

    /// What was asked for, in the new words.
    pub(crate) fn propagation(&self) -> Option<Propagation> {
        match (self.propagation, self.orphan_dependents) {
            (Some(propagation), _) => Some(propagation),
            (None, Some(true)) => Some(Propagation::Orphan),
            (None, Some(false)) => Some(Propagation::Background),
            (None, None) => None,
        }
    }
}

fn propagation_of(text: &str) -> Result<Propagation, ApiError> {
    match text {
        "Orphan" => Ok(Propagation::Orphan),
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        other => Err(invalid(FieldError::not_supported(
            "propagationPolicy",
            other,
            &["Background", "Foreground", "Orphan"],
        ))),
    }
}

fn bad_dry_run(value: &str) -> ApiError {
    invalid(FieldError::not_supported("dryRun", value, &["All"]))
}

fn invalid(error: FieldError) -> ApiError {
    ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[error])
}
