//! `list`: a snapshot of a kind, whole or in pages at one revision. The plain form is written from
//! the kept bytes, in pieces, as the client reads.
//! Kubernetes: the table of "resource versions" in the API concepts, for what `resourceVersion` means.

use super::Target;
use super::options::{ListOptions, Match};
use super::shape::{IncludeObject, Shaper};
use crate::api::codec::{self, Shape};
use crate::api::context::Context;
use crate::api::registry::{Cached, Objects, ResourceCache, matching, served};
use crate::api::{ApiServer, Body, respond};
use crate::meta::{ApiError, Reason};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

/// A list's body is written in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent \
    list result. You can start a new list without the continue parameter, or use the continue token \
    in this response to retrieve the remainder of the results. Continuing with the provided token \
    results in an inconsistent list - objects that were created, modified, or deleted between the \
    time the first chunk was returned and now may show up in the list.";

/// The page that was asked for.
pub(crate) struct Page {
    pub(crate) items: Vec<(Arc<str>, Cached)>,
    pub(crate) revision: u64,
    /// Where the next one begins; empty at the end.
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<usize>,
}

/// Serves a list.
pub(crate) fn list(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(&context.headers, &context.query)?;
    let options = ListOptions::of(context, &target.def, &target.namespace)?;
    let page = page(server, target, &options)?;
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if let Value::Object(metadata) = &mut metadata {
        if !page.continue_token.is_empty() {
            metadata.insert("continue".to_owned(), json!(page.continue_token));
        }
        if let Some(remaining) = page.remaining {
            metadata.insert("remainingItemCount".to_owned(), json!(remaining));
        }
    }
    let as_kept = respond::is_plain_json(&accepted)
        && accepted.shape == Shape::Object
        && target.def.conversion.is_none();
    if as_kept {
        return Ok(stream_of(target, &metadata, page.items));
    }
    let include = context.parameter("includeObject").unwrap_or_default();
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::parse(&include)?,
        now: server.clock.now(),
    };
    let mut objects = Vec::with_capacity(page.items.len());
    for (_, cached) in &page.items {
        objects.push(served(&target.def, cached)?);
    }
    respond::value(&accepted, StatusCode::OK, &shaper.list(objects, metadata))
}

/// Reads the page.
pub(crate) fn page(
    server: &ApiServer,
    target: &Target,
    options: &ListOptions,
) -> Result<Page, ApiError> {
    let kind = server.registry.kind(&target.def)?;
    let (objects, revision, after) = state(server, &kind, options)?;
    let limit = options.limit;
    let mut items = Vec::new();
    let mut more = false;
    let mut selected = matching(&objects, &options.filter)
        .skip_while(|(key, _)| after.as_deref().is_some_and(|after| &***key <= after));
    for (key, cached) in selected.by_ref() {
        if limit > 0 && items.len() == limit {
            more = true;
            break;
        }
        items.push((key.clone(), cached.clone()));
    }
    let remaining = (more && options.filter.is_plain()).then(|| selected.count() + 1);
    let continue_token = match items.last() {
        Some((last, _)) if more => token(revision, last),
        _ => String::new(),
    };
    Ok(Page {
        items,
        revision,
        continue_token,
        remaining,
    })
}

/// The objects to list from, their revision, and the key after which the page begins.
fn state(
    server: &ApiServer,
    kind: &ResourceCache,
    options: &ListOptions,
) -> Result<(Objects, u64, Option<String>), ApiError> {
    let now = server.registry.cache.snapshot(kind);
    if !options.continue_token.is_empty() {
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let (revision, start) = read_token(&options.continue_token)?;
        let Some(revision) = revision else {
            return Ok((now.objects, now.revision, Some(start)));
        };
        let objects = kind.at(revision).map_err(|_| {
            let mut error = ApiError::new(Reason::Expired, CONTINUE_EXPIRED);
            // The rest can still be had, of whatever revision is now.
            error.details = json!({ "continue": inconsistent_token(&start) });
            error
        })?;
        return Ok((objects, revision, Some(start)));
    }
    if options.revision > now.revision {
        return Err(too_large(options.revision, now.revision));
    }
    let exact = match options.resource_version_match {
        Match::Exact => true,
        // A first page at a revision is that revision's, by old habit.
        Match::Unset => options.limit > 0 && options.revision > 0,
        Match::NotOlderThan => false,
    };
    if exact {
        let objects = kind.at(options.revision).map_err(|_| {
            let text = format!(
                "The resourceVersion for the provided list is too old: {}",
                options.revision
            );
            ApiError::new(Reason::Expired, text)
        })?;
        return Ok((objects, options.revision, None));
    }
    Ok((now.objects, now.revision, None))
}

/// 504: the revision has not been given out yet.
pub(crate) fn too_large(asked: u64, current: u64) -> ApiError {
    let text = format!("Too large resource version: {asked}, current: {current}");
    let mut error = ApiError::new(Reason::Timeout, text);
    error.details = json!({
        "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
        "retryAfterSeconds": 1,
    });
    error
}

fn token(revision: u64, last: &str) -> String {
    encode_token(i64::try_from(revision).unwrap_or(-1), last)
}

fn inconsistent_token(last: &str) -> String {
    encode_token(-1, last)
}

fn encode_token(revision: i64, last: &str) -> String {
    // The end byte makes the key the first one after `last`, as in Kubernetes' own tokens.
    let token = json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": format!("{last}\0") });
    URL_SAFE_NO_PAD.encode(token.to_string())
}

/// The revision (none for "whatever is now") and the key after which to go on.
fn read_token(text: &str) -> Result<(Option<u64>, String), ApiError> {
    let wrong = || ApiError::bad_request("continue key is not valid: the token cannot be read");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if token.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
        let text = "continue key is not valid: server does not recognize this encoded version";
        return Err(ApiError::bad_request(text));
    }
    let revision = token.get("rv").and_then(Value::as_i64).ok_or_else(wrong)?;
    let start = token
        .get("start")
        .and_then(Value::as_str)
        .ok_or_else(wrong)?;
    if revision == 0 {
        let text = "continue key is not valid: incorrect encoded start resourceVersion";
        return Err(ApiError::bad_request(text));
    }
    let start = start.strip_suffix('\0').unwrap_or(start);
    Ok((u64::try_from(revision).ok(), start.to_owned()))
}

/// The plain form, written while it is read.
fn stream_of(target: &Target, metadata: &Value, items: Vec<(Arc<str>, Cached)>) -> Response<Body> {
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        target.def.list_kind,
        target.def.api_version(),
    );
    let bytes: usize = items.iter().map(|(_, cached)| cached.len()).sum();
    let mut writer = ListWriter {
        items: items.into_iter().map(|(_, cached)| cached).collect(),
        head: Some(head),
        first: true,
        done: false,
    };
    if bytes < PIECE_BYTES {
        let piece = writer.piece().unwrap_or_default();
        return respond::bytes_of("application/json", StatusCode::OK, piece);
    }
    let pieces = stream::iter(std::iter::from_fn(move || {
        writer.piece().map(Ok::<_, Infallible>)
    }));
    let mut response = respond::bytes_of("application/json", StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::from_stream(pieces);
    response
}

struct ListWriter {
    items: VecDeque<Cached>,
    head: Option<String>,
    first: bool,
    done: bool,
}

impl ListWriter {
    fn piece(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = BytesMut::with_capacity(PIECE_BYTES);
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
        }
        while out.len() < PIECE_BYTES {
            let Some(cached) = self.items.pop_front() else {
                out.extend_from_slice(b"]}\n");
                self.done = true;
                break;
            };
            if !std::mem::take(&mut self.first) {
                out.extend_from_slice(b",");
            }
            cached.write_item(&mut out);
        }
        Some(out.freeze())
    }
}
