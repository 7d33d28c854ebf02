//! Which wire form a request's body has and which one the answer is to have. A form is one arm here
//! and one file; verbs only see values. Must not know verbs.
//! Kubernetes: apiserver `endpoints/handlers/negotiation`.

mod accept;
mod strict_json;

pub(crate) use accept::{
    Accepted, Format, Shape, accept, accept_discovery, accept_json, accept_untabled,
};
pub(crate) use strict_json::{Strict, parse as parse_json};

use crate::api::context::Context;
use crate::meta::{ApiError, Reason, go_json, protobuf, yaml};
use crate::resources::wire;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::Value;

/// The media type of a request's body, without parameters and in lower case; JSON if it is not told.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    if media.is_empty() {
        "application/json".to_owned()
    } else {
        media.to_ascii_lowercase()
    }
}

/// Decodes a request's body.
pub(crate) fn decode(context: &Context, body: &[u8]) -> Result<Strict, ApiError> {
    match content_type(&context.headers).as_str() {
        "application/json" => parse_json(body).map_err(|error| unreadable(body, &error)),
        "application/yaml" | "text/yaml" => decode_yaml(body),
        protobuf::MEDIA_TYPE if accept::has_protobuf(context) => Ok(Strict {
            value: wire::table()
                .decode(body)
                .map_err(|error| ApiError::bad_request(error.to_string()))?,
            ..Strict::default()
        }),
        _ => Err(ApiError::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types \
                 include: {}",
                accept::media_types(context)
            ),
        )),
    }
}

/// A YAML body, with Kubernetes' reading of scalars.
pub(crate) fn decode_yaml(body: &[u8]) -> Result<Strict, ApiError> {
    // JSON is YAML: kubectl sends it so when it applies.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(strict) = parse_json(body)
    {
        return Ok(strict);
    }
    let (value, lines) =
        yaml::lenient_value(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Strict {
        value,
        lines,
        ..Strict::default()
    })
}

fn unreadable(body: &[u8], error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!(
        "couldn't get version/kind; json parse error: {}",
        go_json::words(body, error)
    ))
}

/// Encodes an answer.
pub(crate) fn encode(accepted: &Accepted, value: &Value) -> Result<Vec<u8>, ApiError> {
    match accepted.format {
        Format::Json => encode_json(accepted, value),
        Format::Yaml => Ok(yaml::text(value).into_bytes()),
        Format::Protobuf => wire::table().encode(value).map_err(ApiError::internal),
    }
}

/// Encodes a document whose fields, in JSON, stand in the order of its type.
pub(crate) fn encode_document(
    accepted: &Accepted,
    document: &impl Serialize,
) -> Result<Vec<u8>, ApiError> {
    match accepted.format {
        Format::Json => encode_json(accepted, document),
        Format::Yaml | Format::Protobuf => {
            let value = serde_json::to_value(document).map_err(ApiError::internal)?;
            encode(accepted, &value)
        }
    }
}

fn encode_json(accepted: &Accepted, value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    if accepted.pretty {
        let mut out = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"  ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, indent);
        value
            .serialize(&mut serializer)
            .map_err(ApiError::internal)?;
        return Ok(out);
    }
    let mut out = serde_json::to_vec(value).map_err(ApiError::internal)?;
    out.push(b'\n');
    Ok(out)
}
