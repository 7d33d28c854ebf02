//! `list`: a snapshot of a kind, whole or in pages at one revision. The plain form is written from
//! the kept bytes, in pieces, as the client reads.
//! Kubernetes: the table of "resource versions" in the API concepts, for what `resourceVersion` means.

use super::Target;
use super::options::Listing;
use super::shape::{IncludeObject, Shaper};
use crate::api::codec::{self, Shape};
use crate::api::context::Context;
use crate::api::registry::{Cached, Objects, ResourceCache, matching, served};
use crate::api::{ApiServer, Body, respond};
use crate::meta::list::{Continue, ListMeta};
use crate::meta::options::{ListOptions, VersionMatch};
use crate::meta::{ApiError, Reason};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

/// A list's body is written in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

/// The page that was asked for.
pub(crate) struct Page {
    pub(crate) items: Vec<(Arc<str>, Cached)>,
    pub(crate) meta: ListMeta,
}

/// Serves a list.
pub(crate) fn list(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let listing = Listing::of(server, context, target)?;
    let page = page(server, target, &listing)?;
    let metadata = page.meta.to_value();
    let as_kept = respond::is_plain_json(&accepted)
        && accepted.shape == Shape::Object
        && target.def.conversion.is_none();
    if as_kept {
        return Ok(stream_of(target, &metadata, page.items));
    }
    let shaper = Shaper {
        def: &target.def,
        shape: accepted.shape,
        include: IncludeObject::of(context, accepted.shape)?,
        now: server.clock.now(),
    };
    shaper.check(true)?;
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
    listing: &Listing,
) -> Result<Page, ApiError> {
    let kind = server.registry.kind(&target.def)?;
    let (objects, revision, after) = state(server, &kind, &listing.options)?;
    // Whatever is there is answered whole, as from Kubernetes' watch cache.
    let any = listing.options.resource_version == Some(0);
    let limit = match &listing.options.continue_from {
        None if any => 0,
        _ => usize::try_from(listing.options.limit).unwrap_or(usize::MAX),
    };
    let mut items: Vec<(Arc<str>, Cached)> = Vec::new();
    let mut more = false;
    let mut selected = matching(&objects, &listing.filter)
        .skip_while(|(key, _)| after.as_deref().is_some_and(|after| &***key <= after));
    for (key, cached) in selected.by_ref() {
        if limit > 0 && items.len() == limit {
            more = true;
            break;
        }
        items.push((key.clone(), cached.clone()));
    }
    let last = items.last().filter(|_| more);
    let next = last.map(|(key, _)| Continue::new(revision, &**key));
    let remaining = (more && listing.filter.is_plain()).then(|| selected.count() as u64 + 1);
    Ok(Page {
        items,
        meta: ListMeta {
            revision,
            next,
            remaining,
        },
    })
}

/// The objects to list from, their revision, and the key after which the page begins.
fn state(
    server: &ApiServer,
    kind: &ResourceCache,
    options: &ListOptions,
) -> Result<(Objects, u64, Option<String>), ApiError> {
    let now = server.registry.cache.snapshot(kind);
    if let Some(from) = &options.continue_from {
        let after = Some(from.after.clone());
        if from.revision == 0 {
            return Ok((now.objects, now.revision, after));
        }
        let objects = kind.at(from.revision).map_err(|_| {
            let mut error = Continue::expired();
            // `respond` tells it in the Status' metadata.
            error.details = json!({ "continue": from.now().encode() });
            error
        })?;
        return Ok((objects, from.revision, after));
    }
    let asked = options.resource_version.unwrap_or(0);
    let exact = match options.version_match {
        Some(VersionMatch::Exact) => true,
        // A first page at a revision is that revision's, by old habit.
        None => options.limit > 0 && asked > 0,
        Some(VersionMatch::NotOlderThan) => false,
    };
    if asked > now.revision {
        let mut error = too_large(asked, now.revision);
        // Kubernetes: its store, which is asked for an exact revision, names no time to wait.
        if let (true, Some(details)) = (exact, error.details.as_object_mut()) {
            details.remove("retryAfterSeconds");
        }
        return Err(error);
    }
    if !exact {
        return Ok((now.objects, now.revision, None));
    }
    let objects = kind.at(asked).map_err(|_| {
        let text = "The resourceVersion for the provided list is too old.";
        ApiError::new(Reason::Expired, text)
    })?;
    Ok((objects, asked, None))
}

/// 504: the revision has not been given out yet.
pub(crate) fn too_large(asked: u64, current: u64) -> ApiError {
    let text = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let mut error = ApiError::new(Reason::Timeout, text);
    error.details = json!({
        "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
        "retryAfterSeconds": 1,
    });
    error
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
