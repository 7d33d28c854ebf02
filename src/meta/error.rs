//! The one error that becomes HTTP: a Kubernetes Status with its reason, code, message and causes.
//! Kubernetes: apimachinery `api/errors` and `util/validation/field`; messages are word for word.

use crate::meta::{GroupResource, go_json};
use serde_json::{Value, json};
use std::fmt;

/// `Status.reason`, with the HTTP code that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// As it stands in `Status.reason`; empty for `Unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The HTTP status code that goes with the reason.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::Unknown | Self::InternalError | Self::ServerTimeout => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The reason named by a `Status.reason`; `Unknown` for what wkube does not know.
    pub fn parse(text: &str) -> Self {
        const ALL: [Reason; 18] = [
            Reason::Unauthorized,
            Reason::Forbidden,
            Reason::NotFound,
            Reason::AlreadyExists,
            Reason::Conflict,
            Reason::Gone,
            Reason::Invalid,
            Reason::ServerTimeout,
            Reason::Timeout,
            Reason::TooManyRequests,
            Reason::BadRequest,
            Reason::MethodNotAllowed,
            Reason::NotAcceptable,
            Reason::RequestEntityTooLarge,
            Reason::UnsupportedMediaType,
            Reason::InternalError,
            Reason::Expired,
            Reason::ServiceUnavailable,
        ];
        ALL.into_iter()
            .find(|reason| reason.as_str() == text)
            .unwrap_or(Self::Unknown)
    }
}

/// What is wrong with a field: `StatusCause.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum FieldErrorKind {
    Required,
    Invalid,
    /// `Invalid` of a value that is not shown.
    InvalidOmitted,
    NotSupported,
    Duplicate,
    /// `Duplicate` of a value that is not shown.
    DuplicateOmitted,
    Forbidden,
    TooLong,
    TooMany,
    NotFound,
    TypeInvalid,
    InternalError,
}

impl FieldErrorKind {
    /// `StatusCause.reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid | Self::InvalidOmitted => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate | Self::DuplicateOmitted => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::InternalError => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::InvalidOmitted | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate | Self::DuplicateOmitted => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::InternalError => "Internal error",
        }
    }
}

/// One wrong field of an object: path, what kind of wrong, the value and the detail.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// The path in Kubernetes' notation, for example `spec.containers[0].name`.
    pub field: String,
    /// The offending value; printed for the kinds where Kubernetes prints it.
    pub value: Value,
    /// The explanation, may be empty.
    pub detail: String,
}

impl FieldError {
    /// From all its parts.
    pub fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            field: field.into(),
            value: value.into(),
            detail: detail.into(),
        }
    }

    /// `field: Required value: detail`.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, Value::Null, detail)
    }

    /// `field: Invalid value: value: detail`.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(FieldErrorKind::Invalid, field, value, detail)
    }

    /// `field: Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// `field: Duplicate value: value`.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, value, "")
    }

    /// `field: Unsupported value: "x": supported values: "a", "b"`, in the order that is given:
    /// Kubernetes sorts some of its lists and leaves others as they are.
    pub fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        Self::new(FieldErrorKind::NotSupported, field, value, detail)
    }

    /// The message without the field path, as in `StatusCause.message`.
    pub fn body(&self) -> String {
        let words = self.kind.words();
        let shown = match self.kind {
            FieldErrorKind::Required
            | FieldErrorKind::InvalidOmitted
            | FieldErrorKind::DuplicateOmitted
            | FieldErrorKind::Forbidden
            | FieldErrorKind::TooLong
            | FieldErrorKind::InternalError => words.to_owned(),
            // Kubernetes quotes what is absent.
            _ if self.value.is_null() => format!("{words}: \"null\""),
            _ => match &self.value {
                Value::Number(number) => format!("{words}: {}", go_json::number(number)),
                other => format!("{words}: {other}"),
            },
        };
        if self.detail.is_empty() {
            shown
        } else {
            format!("{shown}: {}", self.detail)
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// An error of the API. `details` is `Status.details`, or null.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: Reason,
    /// The sentence for people.
    pub message: String,
    /// `Status.details` as JSON, or null.
    pub details: Value,
}

impl ApiError {
    /// An error with the code of its reason and no details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code: reason.code(),
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    fn about(reason: Reason, of: &GroupResource, name: &str, message: String) -> Self {
        Self {
            code: reason.code(),
            reason,
            message,
            details: about(name, &of.group, &of.resource),
        }
    }

    /// `pods "x" not found`.
    pub fn not_found(of: &GroupResource, name: &str) -> Self {
        Self::about(
            Reason::NotFound,
            of,
            name,
            format!("{of} {name:?} not found"),
        )
    }

    /// `pods "x" already exists`.
    pub fn already_exists(of: &GroupResource, name: &str) -> Self {
        Self::about(
            Reason::AlreadyExists,
            of,
            name,
            format!("{of} {name:?} already exists"),
        )
    }

    /// `pods "x-abcde" already exists, the server was not able to generate a unique name for the
    /// object`: the client may try again.
    pub fn generate_name_conflict(of: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{of} {name:?} already exists, the server was not able to generate a unique name for \
             the object"
        );
        let mut error = Self::about(Reason::AlreadyExists, of, name, message);
        insert(&mut error.details, "retryAfterSeconds", json!(1));
        error
    }

    /// `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(of: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {of} {name:?}: {why}");
        Self::about(Reason::Conflict, of, name, message)
    }

    /// `pods "x" is forbidden: why`.
    pub fn forbidden(of: &GroupResource, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{of} is forbidden: {why}")
        } else {
            format!("{of} {name:?} is forbidden: {why}")
        };
        Self::about(Reason::Forbidden, of, name, message)
    }

    /// `Pod "x" is invalid: [..]` with a cause for each wrong field. What is found twice is told
    /// once.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut texts: Vec<String> = Vec::with_capacity(errors.len());
        let mut once: Vec<&FieldError> = Vec::with_capacity(errors.len());
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
                once.push(error);
            }
        }
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let shown = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let causes: Vec<Value> = once
            .iter()
            .map(|e| json!({"reason": e.kind.reason(), "message": e.body(), "field": e.field}))
            .collect();
        let mut details = about(name, group, kind);
        insert(&mut details, "causes", json!(causes));
        Self {
            code: 422,
            reason: Reason::Invalid,
            message: format!("{shown} {name:?} is invalid: {list}"),
            details,
        }
    }

    /// 400 with the message as it is.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// 500, `Internal error occurred: what`.
    pub fn internal(what: impl fmt::Display) -> Self {
        Self::new(
            Reason::InternalError,
            format!("Internal error occurred: {what}"),
        )
    }

    /// Whether a cause of the details has this reason (`NamespaceTerminating`).
    pub fn has_cause(&self, reason: &str) -> bool {
        let causes = self.details.get("causes").and_then(Value::as_array);
        let mut reasons = causes
            .into_iter()
            .flatten()
            .map(|cause| cause.get("reason"));
        reasons.any(|of| of.and_then(Value::as_str) == Some(reason))
    }

    /// The Status object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if self.reason != Reason::Unknown {
            insert(&mut status, "reason", json!(self.reason.as_str()));
        }
        if !self.details.is_null() {
            insert(&mut status, "details", self.details.clone());
        }
        status
    }

    /// Reads a Status object that another server sent; `code` is the HTTP code it came with.
    pub fn from_status(code: u16, status: &Value) -> Self {
        let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            code,
            reason: Reason::parse(text("reason")),
            message: text("message").to_owned(),
            details: status.get("details").cloned().unwrap_or(Value::Null),
        }
    }
}

/// `Status.details` that tell what it is about; what is empty is left out.
fn about(name: &str, group: &str, kind: &str) -> Value {
    let words = [("name", name), ("group", group), ("kind", kind)];
    let words = words.into_iter().filter(|(_, word)| !word.is_empty());
    words
        .map(|(of, word)| (of.to_owned(), json!(word)))
        .collect()
}

fn insert(map: &mut Value, name: &str, value: Value) {
    if let Value::Object(map) = map {
        map.insert(name.to_owned(), value);
    }
}
