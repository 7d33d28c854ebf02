//! `watch`: what happens to a kind from a revision on, as frames, in JSON one a line. Frames are put
//! together from kept bytes where they can be, and those that wait go out as one piece. Nothing polls:
//! the stream wakes for a change, for a bookmark, and for its end.
//! Kubernetes: apiserver `storage/cacher` and the watch-list of the API concepts.

use super::Target;
use super::list::too_large;
use super::options::Listing;
use super::shape::{IncludeObject, Shaper};
use crate::api::codec::{self, Accepted, Format, Shape};
use crate::api::context::Context;
use crate::api::registry::{Cache, EventKind, Next, Seen, TooOld, WatchFrom, Watcher, served};
use crate::api::{ApiServer, Body, respond};
use crate::meta::options::{ListOptions, parse_resource_version};
use crate::meta::{ApiError, FieldError, Object, Reason, protobuf};
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

/// What a watch cannot be written in is told with what it can be.
const NO_STREAM: &str = "only the following media types are accepted: \
    application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Serves a watch.
pub(crate) fn watch(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    if accepted.format == Format::Yaml {
        return Err(ApiError::new(Reason::NotAcceptable, NO_STREAM));
    }
    check_version(context, target)?;
    let Listing { options, filter } = Listing::of(server, context, target)?;
    let include = IncludeObject::of(context, accepted.shape)?;
    let kind = server.registry.kind(&target.def)?;
    let cache = server.registry.cache.clone();
    let initial_events = options.send_initial_events == Some(true);
    let asked = options.resource_version.unwrap_or(0);
    if initial_events && asked > cache.revision() {
        let error = too_large(asked, cache.revision());
        return Ok(ended_by(&accepted, &error));
    }
    let (watcher, revision) = match cache.watch(&kind, filter, &begin(&options)) {
        Ok(begun) => begun,
        Err(too_old) => return Ok(ended_by(&accepted, &expired(asked, &too_old))),
    };
    let seconds = options
        .timeout_seconds
        .filter(|seconds| *seconds > 0)
        .unwrap_or_else(|| TIMEOUT_SECONDS_MIN + rand::random_range(0..TIMEOUT_SECONDS_MIN));
    let started = server.clock.instant();
    let stream = WatchStream {
        watcher,
        cache,
        def: target.def.clone(),
        accepted,
        include,
        clock: server.clock.clone(),
        shutdown: server.shutdown.clone(),
        initial_end: (initial_events && options.bookmarks).then_some(revision),
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

/// A revision that is no number is told before the stream begins.
fn check_version(context: &Context, target: &Target) -> Result<(), ApiError> {
    let asked = context.parameter("resourceVersion").unwrap_or_default();
    let Err(error) = parse_resource_version(&asked) else {
        return Ok(());
    };
    let detail = error.message.rsplit_once("strconv.").map(|(_, why)| why);
    let detail = format!("strconv.{}", detail.unwrap_or_default());
    let error = FieldError::invalid("resourceVersion", asked.as_str(), detail);
    let def = &target.def;
    let errors = [error];
    Err(ApiError::invalid(
        &def.group,
        &def.plural,
        &target.name,
        &errors,
    ))
}

/// A watch that cannot be begun: what is wrong is its only event.
fn ended_by(accepted: &Accepted, error: &ApiError) -> Response<Body> {
    let mut out = BytesMut::new();
    put(accepted, &mut out, "ERROR", &error.to_status());
    respond::bytes_of(accepted.watch_content_type(), StatusCode::OK, out.freeze())
}

fn begin(options: &ListOptions) -> WatchFrom {
    match (options.send_initial_events, options.resource_version) {
        (Some(true), _) | (None, None | Some(0)) => WatchFrom::State,
        (Some(false), None | Some(0)) => WatchFrom::Now,
        (_, Some(revision)) => WatchFrom::Revision(revision),
    }
}

/// 410 in Kubernetes' words.
fn expired(asked: u64, too_old: &TooOld) -> ApiError {
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
            Ok(object) => put(&self.accepted, out, seen.kind.as_str(), &object),
            Err(error) => {
                put(&self.accepted, out, "ERROR", &error.to_status());
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
        Ok(self.shaper(self.include).event(object, first))
    }

    fn bookmark(&mut self, out: &mut BytesMut, revision: u64, initial_end: bool) {
        self.told = revision;
        let mut object = Object::default();
        object.set(&["kind"], json!(self.def.kind));
        object.set(&["apiVersion"], json!(self.def.api_version()));
        object.set_resource_version(revision);
        if initial_end {
            let annotation = json!({ "k8s.io/initial-events-end": "true" });
            object.set(&["metadata", "annotations"], annotation);
        }
        // The end of the initial events is told even where rows carry no object.
        let include = match self.include {
            IncludeObject::None if initial_end => IncludeObject::Metadata,
            include => include,
        };
        let first = !std::mem::replace(&mut self.columns_told, true);
        let object = self.shaper(include).event(object, first);
        put(&self.accepted, out, "BOOKMARK", &object);
    }

    fn shaper(&self, include: IncludeObject) -> Shaper<'_> {
        Shaper {
            def: &self.def,
            shape: self.accepted.shape,
            include,
            now: self.clock.now(),
        }
    }
}

/// Writes a frame around an object.
fn put(accepted: &Accepted, out: &mut BytesMut, kind: &str, object: &Value) {
    if accepted.format == Format::Protobuf {
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

fn put_head(out: &mut BytesMut, kind: &str) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
}
