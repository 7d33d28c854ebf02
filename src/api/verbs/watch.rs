//! `watch`: what happens to a kind from a revision on, as frames, in JSON one a line. Frames are put
//! together from kept bytes where they can be, and those that wait go out as one piece. Nothing polls:
//! the stream wakes for a change, for a bookmark, and for its end.
//! Kubernetes: apiserver `storage/cacher` and the watch-list of the API concepts.

use super::Target;
use super::options::Listing;
use super::shape::{IncludeObject, Shaper};
use crate::api::codec::{self, Accepted, Format, Shape};
use crate::api::context::Context;
use crate::api::registry::{Cache, EventKind, Next, Seen, TooOld, WatchFrom, Watcher, served};
use crate::api::{ApiServer, Body, respond};
use crate::meta::options::ListOptions;
use crate::meta::{ApiError, Reason, protobuf};
use crate::resources::{DefRef, wire};
use crate::stdx::{Clock, Shutdown};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Frames that wait are sent together up to about this size.
const PIECE_BYTES: usize = 64 << 10;
/// How often a client that asks for bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// A watch without a timeout of its own ends after between one and two of these.
const TIMEOUT_SECONDS_MIN: u64 = 1_800;

/// Serves a watch.
pub(crate) fn watch(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let Listing { options, filter } = Listing::of(server, context, &target.def, &target.namespace)?;
    let kind = server.registry.kind(&target.def)?;
    let from = begin(&options);
    let cache = server.registry.cache.clone();
    let (watcher, revision) = cache
        .watch(&kind, filter, &from)
        .map_err(|too_old| expired(&options, &too_old))?;
    let include = context.parameter("includeObject").unwrap_or_default();
    let seconds = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| TIMEOUT_SECONDS_MIN + rand::random_range(0..TIMEOUT_SECONDS_MIN));
    let started = server.clock.instant();
    let initial_events = options.send_initial_events == Some(true);
    let stream = WatchStream {
        watcher,
        cache,
        def: target.def.clone(),
        accepted,
        include: IncludeObject::parse(&include)?,
        clock: server.clock.clone(),
        shutdown: server.shutdown.clone(),
        initial_end: initial_events.then_some(revision),
        bookmarks: options.bookmarks,
        next_bookmark: started + BOOKMARK_INTERVAL,
        deadline: started + Duration::from_secs(seconds),
        told: 0,
        columns_told: false,
        ended: false,
    };
    let pieces = stream::unfold(stream, |mut stream| async move {
        let piece = stream.piece().await?;
        Some((Ok::<_, Infallible>(piece), stream))
    });
    let content_type = accepted.watch_content_type();
    let mut response = respond::bytes_of(content_type, StatusCode::OK, Bytes::new());
    *response.body_mut() = Body::from_stream(pieces);
    Ok(response)
}

fn begin(options: &ListOptions) -> WatchFrom {
    match (options.send_initial_events, options.resource_version) {
        (Some(true), _) | (None, None | Some(0)) => WatchFrom::State,
        (Some(false), None | Some(0)) => WatchFrom::Now,
        (_, Some(revision)) => WatchFrom::Revision(revision),
    }
}

/// 410 in Kubernetes' words.
fn expired(options: &ListOptions, too_old: &TooOld) -> ApiError {
    let asked = options.resource_version.unwrap_or(0);
    let text = format!("too old resource version: {asked} ({})", too_old.oldest);
    ApiError::new(Reason::Expired, text)
}

struct WatchStream {
    watcher: Arc<Watcher>,
    cache: Arc<Cache>,
    def: DefRef,
    accepted: Accepted,
    include: IncludeObject,
    clock: Clock,
    shutdown: Shutdown,
    /// The initial events lead to this revision; a bookmark tells their end.
    initial_end: Option<u64>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// The last revision that the client knows of.
    told: u64,
    columns_told: bool,
    ended: bool,
}

impl WatchStream {
    /// The next frames, or the end.
    async fn piece(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        loop {
            if self.ended {
                return None;
            }
            // Read before the queue is: what is in the caches up to here has been queued.
            let revision = self.cache.revision();
            self.drain(&mut out);
            if !self.ended && out.len() < PIECE_BYTES {
                self.bookmark_if_due(&mut out, revision);
            }
            if !out.is_empty() {
                return Some(out.freeze());
            }
            let wake = if self.bookmarks {
                self.next_bookmark.min(self.deadline)
            } else {
                self.deadline
            };
            let left = wake.saturating_duration_since(self.clock.instant());
            tokio::select! {
                () = self.watcher.ready() => {}
                () = self.shutdown.stopped() => return None,
                () = self.clock.sleep(left) => {}
            }
        }
    }

    /// Writes what is queued, up to a piece.
    fn drain(&mut self, out: &mut BytesMut) {
        while out.len() < PIECE_BYTES {
            match self.watcher.next() {
                Next::Seen(seen) => self.frame(out, &seen),
                Next::Empty => return,
                Next::CutOff => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn bookmark_if_due(&mut self, out: &mut BytesMut, revision: u64) {
        let now = self.clock.instant();
        if let Some(end) = self.initial_end.take() {
            self.bookmark(out, end.max(self.told), true);
        }
        let over = now >= self.deadline;
        if self.bookmarks && (now >= self.next_bookmark || (over && revision > self.told)) {
            self.next_bookmark = now + BOOKMARK_INTERVAL;
            self.bookmark(out, revision.max(self.told), false);
        }
        if over {
            self.ended = true;
        }
    }

    fn frame(&mut self, out: &mut BytesMut, seen: &Seen) {
        self.told = self.told.max(seen.revision);
        let as_kept = respond::is_plain_json(&self.accepted)
            && self.accepted.shape == Shape::Object
            && self.def.conversion.is_none();
        if as_kept {
            put_head(out, seen.kind.as_str());
            seen.object.write_at(out, seen.revision);
            out.put_slice(b"}\n");
            return;
        }
        match self.shaped(seen) {
            Ok(object) => self.put(out, seen.kind.as_str(), &object),
            Err(error) => {
                self.put(out, "ERROR", &error.to_status());
                self.ended = true;
            }
        }
    }

    fn shaped(&mut self, seen: &Seen) -> Result<Value, ApiError> {
        let mut object = served(&self.def, &seen.object)?;
        if seen.kind == EventKind::Deleted {
            object.set_resource_version(seen.revision);
        }
        let first = !std::mem::replace(&mut self.columns_told, true);
        let shaper = Shaper {
            def: &self.def,
            shape: self.accepted.shape,
            include: self.include,
            now: self.clock.now(),
        };
        Ok(shaper.event(object, first))
    }

    fn bookmark(&mut self, out: &mut BytesMut, revision: u64, initial_end: bool) {
        self.told = revision;
        let mut metadata = json!({
            "resourceVersion": revision.to_string(),
            "creationTimestamp": null,
        });
        if initial_end && let Value::Object(metadata) = &mut metadata {
            let annotation = json!({ "k8s.io/initial-events-end": "true" });
            metadata.insert("annotations".to_owned(), annotation);
        }
        let (kind, api_version) = match self.accepted.shape {
            Shape::Partial(version) | Shape::Table(version) => (
                "PartialObjectMetadata".to_owned(),
                format!("meta.k8s.io/{version}"),
            ),
            Shape::Object => (self.def.kind.to_string(), self.def.api_version()),
        };
        let mut object = json!({
            "kind": kind,
            "apiVersion": api_version,
            "metadata": metadata,
        });
        if let Shape::Table(version) = self.accepted.shape {
            object = json!({
                "kind": "Table",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": { "resourceVersion": revision.to_string() },
                "columnDefinitions": null,
                "rows": [{ "cells": [], "object": object }],
            });
        }
        self.put(out, "BOOKMARK", &object);
    }

    fn put(&self, out: &mut BytesMut, kind: &str, object: &Value) {
        if self.accepted.format == Format::Protobuf {
            // A kind without this form has been refused before the watch began.
            if let Ok(body) = wire::table().encode(object) {
                out.put_slice(&protobuf::watch_frame(kind, &body));
            }
            return;
        }
        put_head(out, kind);
        // A value always encodes; were it not so, the frame would be cut short and refused.
        if serde_json::to_writer((&mut *out).writer(), object).is_ok() {
            out.put_slice(b"}\n");
        }
    }
}

fn put_head(out: &mut BytesMut, kind: &str) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
}
