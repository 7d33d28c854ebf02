//! TokenRequest: a token for a service account. It is answered where the account is, never stored.
//! Kubernetes: `pkg/apis/authentication` validation and defaults.

use crate::meta::{FieldError, Object};
use crate::resources::def::{ResourceDef, Verb};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use serde_json::{Value, json};

/// How long a token is good if nothing is asked, in seconds.
const SECONDS: i64 = 60 * 60;
/// The shortest time, in seconds.
const SECONDS_MIN: i64 = 10 * 60;
/// The longest time, in seconds.
const SECONDS_MAX: i64 = 1 << 32;

/// Shape and checks.
pub static DEF: ResourceDef = ResourceDef::new(
    ("authentication.k8s.io", "v1", "TokenRequest"),
    "TokenRequestList",
    ("tokenrequests", "tokenrequest"),
    SchemaSource::of::<k8s_openapi::api::authentication::v1::TokenRequest>(),
    &TokenRequestStrategy,
)
.verbs(&[Verb::Create])
.storage_prefix("");

/// What a TokenRequest does beyond its shape.
pub struct TokenRequestStrategy;

impl Strategy for TokenRequestStrategy {
    fn default(&self, request: &mut Object) {
        if seconds(request).is_none() {
            request.set(&["spec", "expirationSeconds"], json!(SECONDS));
        }
    }

    fn validate(&self, request: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(request, "spec");
        let at = spec.field("expirationSeconds");
        let seconds = seconds(request).unwrap_or_default();
        if seconds < SECONDS_MIN {
            errors.invalid(&at, "may not specify a duration less than 10 minutes");
        }
        if seconds > SECONDS_MAX {
            errors.invalid(&at, "may not specify a duration larger than 2^32 seconds");
        }
        errors.0
    }
}

/// How long the token is to be good.
pub fn seconds(request: &Object) -> Option<i64> {
    request
        .get(&["spec", "expirationSeconds"])
        .and_then(Value::as_i64)
}
