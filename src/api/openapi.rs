//! `/openapi/v2` and `/openapi/v3`: the documents that `resources` makes of the table, made at first
//! use, beside the requests, and kept. Must not know shapes.

use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond, version};
use crate::meta::ApiError;
use crate::resources::openapi::{v2, v2_proto, v3};
use crate::resources::{DefRef, Scheme};
use crate::stdx::Digest;
use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LOCATION, VARY,
};
use http::{HeaderValue, Response, StatusCode};
use parking_lot::Mutex;
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

/// The documents that have been made. What custom kinds there are is part of where one is kept: who asks
/// after a change gets another.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
}

/// A document, and the stamp of the custom kinds that it tells of.
struct Kept {
    stamp: String,
    document: Arc<OnceLock<Document>>,
}

impl Documents {
    /// A document by its path, made now if what it tells of has changed.
    fn keep(&self, path: &str, stamp: &str, make: impl FnOnce() -> Document) -> Document {
        let slot = {
            let mut kept = self.kept.lock();
            let slot = kept.get(path).filter(|kept| kept.stamp == stamp);
            match slot.map(|kept| kept.document.clone()) {
                Some(slot) => slot,
                None => {
                    let new = Kept {
                        stamp: stamp.to_owned(),
                        document: Arc::default(),
                    };
                    let slot = new.document.clone();
                    kept.insert(path.to_owned(), new);
                    slot
                }
            }
        };
        // Making takes its time; others wait for this document alone.
        slot.get_or_init(make).clone()
    }

    fn second(&self, scheme: &Scheme) -> Document {
        let make = || Document::of(&v2::document(scheme, version::GIT_VERSION));
        self.keep("v2", &stamp_of(scheme.iter()), make)
    }

    fn second_proto(&self, scheme: &Scheme) -> Document {
        let make = || {
            let document = v2::document(scheme, version::GIT_VERSION);
            Document::new(v2_proto::encode(&document))
        };
        self.keep("v2 in protobuf", &stamp_of(scheme.iter()), make)
    }

    /// A group version's document of version 3.
    fn third(&self, scheme: &Scheme, path: &str) -> Option<Document> {
        let all = v3::documents(scheme);
        let (_, group, version) = all.into_iter().find(|(own, ..)| own == path)?;
        let stamp = stamp_of(scheme.group_version(&group, &version).into_iter());
        let make = || {
            let document = v3::document(scheme, &group, &version, version::GIT_VERSION);
            let mut document = Document::of(&document);
            if let Some(hash) = hash_of(&stamp) {
                document.hash = hash;
            }
            document
        };
        Some(self.keep(path, &stamp, make))
    }

    /// Where the documents of version 3 are. Those of custom kinds are not made for it.
    fn index(&self, scheme: &Scheme) -> Document {
        let make = || {
            let hashes: BTreeMap<String, String> = v3::documents(scheme)
                .into_iter()
                .map(|(path, group, version)| {
                    let rows = scheme.group_version(&group, &version).into_iter();
                    let known = hash_of(&stamp_of(rows));
                    let made = || self.third(scheme, &path).map(|document| document.hash);
                    let hash = known.or_else(made).unwrap_or_default();
                    (path, hash)
                })
                .collect();
            let hash_of = |path: &str| hashes.get(path).cloned().unwrap_or_default();
            Document::of(&v3::index(scheme, hash_of))
        };
        self.keep("v3", &stamp_of(scheme.iter()), make)
    }
}

/// Changes with the custom kinds among some rows; empty if there are none.
fn stamp_of<'a>(rows: impl Iterator<Item = &'a DefRef>) -> String {
    let custom = rows.filter(|row| !row.stamp.is_empty());
    custom.map(|row| format!("{},", row.stamp)).collect()
}

/// The hash by which the document of custom kinds is named.
fn hash_of(stamp: &str) -> Option<String> {
    (!stamp.is_empty()).then(|| Digest::of(stamp.as_bytes()).hex().to_uppercase())
}

/// Serves `/openapi/<document>`.
pub(crate) async fn serve(
    server: &ApiServer,
    context: &Context,
    document: &str,
) -> Result<Response<Body>, ApiError> {
    let documents = server.openapi.clone();
    let scheme = server.registry.scheme();
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
        "v3" => Some((documents.index(&scheme), "application/json")),
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
