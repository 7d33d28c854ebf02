//! `/openapi/v2` and `/openapi/v3`: the documents that `resources` makes of the table, made at first
//! use, beside the requests, and kept. Must not know shapes.

use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond, version};
use crate::meta::ApiError;
use crate::resources::Scheme;
use crate::resources::openapi::{v2, v2_proto, v3};
use crate::stdx::Digest;
use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LOCATION, VARY,
};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the protobuf form is called in an answer; what is asked for has an `@`, which no media type
/// may have.
const PROTO_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// As long as HTTP lets an answer be kept: a year.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A document and the text that changes with it.
#[derive(Clone)]
struct Document {
    bytes: Bytes,
    hash: String,
}

impl Document {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            hash: Digest::of(&bytes).hex().to_uppercase(),
            bytes: bytes.into(),
        }
    }

    fn of(value: &Value) -> Self {
        Self::new(serde_json::to_vec(value).unwrap_or_default())
    }
}

/// All documents of the third version.
struct Third {
    index: Document,
    /// By their path below `/openapi/v3/`.
    documents: BTreeMap<String, Document>,
}

/// The documents that have been made.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    second: Arc<OnceLock<Document>>,
    second_proto: Arc<OnceLock<Document>>,
    third: Arc<OnceLock<Third>>,
}

impl Documents {
    fn second(&self, scheme: &Scheme) -> Document {
        let make = || Document::of(&v2::document(scheme, version::GIT_VERSION));
        self.second.get_or_init(make).clone()
    }

    fn second_proto(&self, scheme: &Scheme) -> Document {
        let make = || {
            Document::new(v2_proto::encode(&v2::document(
                scheme,
                version::GIT_VERSION,
            )))
        };
        self.second_proto.get_or_init(make).clone()
    }

    fn third(&self, scheme: &Scheme, path: &str) -> Option<Document> {
        let third = self.third.get_or_init(|| {
            let documents: BTreeMap<String, Document> = v3::documents(scheme)
                .into_iter()
                .map(|(path, group, version)| {
                    let served = version::GIT_VERSION;
                    let document = v3::document(scheme, &group, &version, served);
                    (path, Document::of(&document))
                })
                .collect();
            let hash_of = |path: &str| {
                documents
                    .get(path)
                    .map(|d| d.hash.clone())
                    .unwrap_or_default()
            };
            Third {
                index: Document::of(&v3::index(scheme, hash_of)),
                documents,
            }
        });
        if path.is_empty() {
            return Some(third.index.clone());
        }
        third.documents.get(path).cloned()
    }
}

/// Serves `/openapi/<document>`.
pub(crate) async fn serve(
    server: &ApiServer,
    context: &Context,
    document: &str,
) -> Result<Response<Body>, ApiError> {
    let documents = server.openapi.clone();
    let scheme = server.registry.scheme.clone();
    let path = document.trim_end_matches('/').to_owned();
    let accept = context.headers.get(ACCEPT);
    let accept = accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let wants_proto =
        accept.contains("spec.v2@v1.0+protobuf") || accept.contains("spec.v2.v1.0+protobuf");
    let making = tokio::task::spawn_blocking(move || match path.as_str() {
        "v2" if wants_proto => Some((documents.second_proto(&scheme), PROTO_ANSWER)),
        "v2" => Some((documents.second(&scheme), "application/json")),
        "v3" => Some((documents.third(&scheme, "")?, "application/json")),
        other => {
            let below = other.strip_prefix("v3/")?;
            Some((documents.third(&scheme, below)?, "application/json"))
        }
    });
    let made = making.await.map_err(ApiError::internal)?;
    let (document, content_type) = made.ok_or_else(not_found)?;
    let asked = context.parameter("hash").filter(|hash| !hash.is_empty());
    match asked {
        Some(asked) if asked != document.hash && context.info.path.contains("/v3/") => {
            Ok(moved(context, &document))
        }
        asked => answer(server, context, &document, content_type, asked.is_some()),
    }
}

/// The address of a document that has changed leads to where it is now.
fn moved(context: &Context, document: &Document) -> Response<Body> {
    let place = format!("{}?hash={}", context.info.path, document.hash);
    let text = format!("<a href=\"{place}\">Moved Permanently</a>.\n\n");
    let mut response = respond::bytes_of(
        "text/html; charset=utf-8",
        StatusCode::MOVED_PERMANENTLY,
        text,
    );
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// A document; `named` by its hash, it is the same for ever.
fn answer(
    server: &ApiServer,
    context: &Context,
    document: &Document,
    content_type: &'static str,
    named: bool,
) -> Result<Response<Body>, ApiError> {
    let etag = format!("\"{}\"", document.hash);
    let etag = HeaderValue::from_str(&etag).map_err(ApiError::internal)?;
    let mut response = if context.headers.get(IF_NONE_MATCH) == Some(&etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::bytes_of(content_type, StatusCode::OK, document.bytes.clone())
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if named {
        // The address names the content, so it never changes.
        let forever = HeaderValue::from_static("public, immutable");
        headers.insert(CACHE_CONTROL, forever);
        let now = server.clock.now();
        let end = now.checked_add(FOREVER).unwrap_or(now);
        let end = end.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(end) = HeaderValue::from_str(&end) {
            headers.insert(EXPIRES, end);
        }
    }
    Ok(response)
}
