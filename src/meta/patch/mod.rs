//! The three patch forms that change a JSON document: JSON patch, merge patch, strategic merge
//! patch. (The fourth, apply, is `meta::apply`.) Must not know kinds: what merges how comes from
//! a `SchemaNode`.
//! Kubernetes: apiserver `endpoints/handlers/patch`, apimachinery `strategicpatch`, `mergepatch`.

use crate::meta::{ApiError, Reason};
use serde_json::{Value, json};

pub mod json;
pub mod merge;
pub mod strategic;

/// How deep a patched document may nest; recursion over it stays far from the stack's end.
pub const MAX_DEPTH: usize = 256;
/// How much a patch may copy within a document (bytes), as Kubernetes bounds it by the body size.
pub const MAX_COPY_BYTES: usize = 3 * 1024 * 1024;

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch has the wrong form.
    #[error("{0}")]
    Malformed(String),
    /// The patch asks for too much.
    #[error("{0}")]
    TooLarge(String),
    /// The patch does not fit the object. Kubernetes tells clients no more than that.
    #[error("{0}")]
    DoesNotFit(String),
    /// The patch does not fit the object, in words that Kubernetes passes on as they are.
    #[error("{0}")]
    Failed(String),
}

impl PatchError {
    /// As the API answers it: 400, 413, 422 or 500.
    pub fn to_api_error(&self) -> ApiError {
        match self {
            Self::Malformed(words) => ApiError::bad_request(words.clone()),
            Self::TooLarge(words) => ApiError::new(
                Reason::RequestEntityTooLarge,
                format!("Request entity too large: {words}"),
            ),
            // A plain error of Kubernetes' library: 500 without a reason.
            Self::Failed(words) => ApiError::new(Reason::Unknown, words.clone()),
            Self::DoesNotFit(_) => {
                let mut error = ApiError::new(
                    Reason::Invalid,
                    "the server rejected our request due to an error in our request",
                );
                error.details = json!({});
                error
            }
        }
    }
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        error.to_api_error()
    }
}

/// Nesting of a value: 0 for a scalar, 1 for an empty map or list.
pub(crate) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// About how many bytes a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|v| size(v) + 1).sum::<usize>() + 2,
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| k.len() + 4 + size(v))
            .sum::<usize>()
            .saturating_add(2),
    }
}
