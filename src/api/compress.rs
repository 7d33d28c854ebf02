//! Large answers are compressed for clients that take it, piece by piece as they are read. Watches
//! and streams never are: their frames must not wait for each other.
//! Kubernetes: apiserver `endpoints/handlers/responsewriters`, gzip of at least 128 KiB at level 1.

use crate::api::Body;
use crate::api::context::Context;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use std::io::Write;

/// Answers that are smaller stay as they are.
const BYTES_MIN: u64 = 128 << 10;

/// Compresses an answer if that is wanted and worth it.
pub(crate) fn compress(context: &Context, response: Response<Body>) -> Response<Body> {
    // A body whose length is not known beforehand is a list of some size.
    let large = response
        .body()
        .size_hint()
        .exact()
        .is_none_or(|length| length >= BYTES_MIN);
    let wanted = large
        && context.method == Method::GET
        && response.status() == StatusCode::OK
        && !context.is_long_running()
        && !response.headers().contains_key(CONTENT_ENCODING)
        && accepts_gzip(context);
    if !wanted {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts
        .headers
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = stream::unfold(
        (body.into_data_stream(), Some(encoder)),
        |(mut body, encoder)| async move {
            let mut encoder = encoder?;
            loop {
                match body.next().await {
                    Some(Ok(piece)) => {
                        if let Err(error) = encoder.write_all(&piece) {
                            return Some((Err(axum::Error::new(error)), (body, None)));
                        }
                        let out = std::mem::take(encoder.get_mut());
                        if !out.is_empty() {
                            return Some((Ok(Bytes::from(out)), (body, Some(encoder))));
                        }
                    }
                    Some(Err(error)) => return Some((Err(error), (body, None))),
                    None => {
                        let out = encoder.finish().map_err(axum::Error::new);
                        return Some((out.map(Bytes::from), (body, None)));
                    }
                }
            }
        },
    );
    Response::from_parts(parts, Body::from_stream(packed))
}

fn accepts_gzip(context: &Context) -> bool {
    let accepted = context.headers.get(ACCEPT_ENCODING);
    let accepted = accepted
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accepted.split(',').any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}
