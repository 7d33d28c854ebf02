//! Answers: a value in the form that was agreed on, an error as a Status, the headers that every
//! answer carries. Must not know verbs.

use crate::api::Body;
use crate::api::codec::{self, Accepted, Format};
use crate::api::context::Context;
use crate::meta::ApiError;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WARNING,
};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

const FLOW_SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");
/// What is said of a request that panicked.
pub(crate) const PANICKED: &str =
    "This request caused apiserver to panic. Look in the logs for details.";

/// A value.
pub(crate) fn value(
    accepted: &Accepted,
    status: StatusCode,
    value: &Value,
) -> Result<Response<Body>, ApiError> {
    let bytes = codec::encode(accepted, value)?;
    Ok(bytes_of(accepted.content_type(), status, bytes))
}

/// A document whose fields stand in the order of its type.
pub(crate) fn document(
    accepted: &Accepted,
    document: &impl Serialize,
) -> Result<Response<Body>, ApiError> {
    let bytes = codec::encode_document(accepted, document)?;
    Ok(bytes_of(accepted.content_type(), StatusCode::OK, bytes))
}

/// Bytes of a media type.
pub(crate) fn bytes_of(
    content_type: &'static str,
    status: StatusCode,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = bytes_of("text/plain; charset=utf-8", status, text.into());
    response.headers_mut().insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// An error as a Status.
pub(crate) fn error(context: &Context, error: &ApiError) -> Response<Body> {
    let accepted = codec::accept(context).unwrap_or(Accepted::json());
    let mut status = error.to_status();
    // A list that cannot go on tells in its metadata how to have the rest nevertheless.
    if let Some(token) = error.details.get("continue").cloned()
        && let Value::Object(status) = &mut status
    {
        status.remove("details");
        status.insert("metadata".to_owned(), json!({ "continue": token }));
    }
    let status_code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = codec::encode(&accepted, &status).unwrap_or_default();
    let mut response = bytes_of(accepted.content_type(), status_code, bytes);
    let seconds = error
        .details
        .get("retryAfterSeconds")
        .and_then(Value::as_u64);
    if let Some(seconds) = seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An error as a Status, to who has not come as far as to say what he wants.
pub(crate) fn refusal(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    bytes_of("application/json", status, error.to_status().to_string())
}

/// 429 of a server that ends. Kubernetes: apiserver `server/filters/with_retry_after.go`.
pub(crate) fn ending() -> Response<Body> {
    let words = "The apiserver is shutting down, please try again later.\n";
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, words);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What every answer carries.
pub(crate) fn finish(context: &Context, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.id) {
        headers.insert("audit-id", id);
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    if let Some((schema, level)) = context.flow.get().map(|flow| flow.uids()) {
        headers.insert(FLOW_SCHEMA_UID, schema);
        headers.insert(PRIORITY_LEVEL_UID, level);
    }
    for warning in context.take_warnings() {
        let quoted = quote(&warning);
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {quoted}")) {
            headers.append(WARNING, value);
        }
    }
}

/// A quoted-string of HTTP; what cannot stand in a header is left out.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            '\n' | '\t' => out.push(' '),
            _ => {}
        }
    }
    out.push('"');
    out
}

/// Whether the answer can be the kept bytes as they are.
pub(crate) fn is_plain_json(accepted: &Accepted) -> bool {
    accepted.format == Format::Json && !accepted.pretty
}
