//! One request as the audit log follows it: what is known of it so far, and the events of its
//! stages. Must not know where they go.

use super::Audit;
use super::event::{Event, ObjectRef, User};
use super::policy::{Decision, Level, Stage};
use crate::api::authentication::UserInfo;
use crate::api::codec;
use crate::api::context::Context;
use crate::api::{Body, respond};
use crate::meta::{ApiError, protobuf, yaml};
use crate::resources::wire;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes of an object in an event; a larger one is left out.
/// Kubernetes: `--audit-log-truncate-max-event-size`.
const OBJECT_BYTES_MAX: usize = 10 << 20;
/// Bytes of a client's name that are logged.
const USER_AGENT_BYTES_MAX: usize = 1_024;
/// Addresses of one request that are logged.
const SOURCES_MAX: usize = 16;
/// What a client may send of where it comes from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection, as the edge tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A request that is followed.
pub(crate) struct Record {
    audit: Arc<Audit>,
    decision: Decision,
    event: Mutex<Event>,
    /// The body as far as it was read.
    body: Mutex<Vec<u8>>,
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Where a request comes from: what proxies say, then the connection's other end.
fn sources(headers: &HeaderMap, peer: Option<&Peer>) -> Vec<String> {
    let texts = headers.get_all(FORWARDED_FOR).into_iter();
    let texts = texts.filter_map(|value| value.to_str().ok());
    let mut all: Vec<IpAddr> = texts
        .flat_map(|text| text.split(','))
        .filter_map(|text| text.trim().parse().ok())
        .take(SOURCES_MAX)
        .collect();
    let last = peer.map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0.ip());
    if all.last() != Some(&last) {
        all.push(last);
    }
    all.iter().map(ToString::to_string).collect()
}

impl Record {
    pub(super) fn new(
        audit: Arc<Audit>,
        decision: Decision,
        context: &Context,
        parts: &Parts,
    ) -> Self {
        let info = &context.info;
        let now = stamp(audit.clock.now());
        let agent = parts.headers.get(USER_AGENT);
        let mut agent = agent
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned())
            .unwrap_or_default();
        if agent.len() > USER_AGENT_BYTES_MAX {
            agent.truncate(agent.floor_char_boundary(USER_AGENT_BYTES_MAX));
            agent.push_str("...TRUNCATED");
        }
        let object_ref = info.is_resource.then(|| ObjectRef {
            resource: info.resource.clone(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            api_group: info.group.clone(),
            api_version: info.version.clone(),
            subresource: info.subresource.clone(),
            ..ObjectRef::default()
        });
        let event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: decision.level.as_str(),
            audit_id: context.id.clone(),
            request_uri: parts
                .uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            verb: info.verb.clone(),
            user: User::from(&context.user),
            source_ips: sources(&parts.headers, parts.extensions.get()),
            user_agent: agent,
            object_ref,
            request_received_timestamp: now,
            ..Event::default()
        };
        Self {
            audit,
            decision,
            event: Mutex::new(event),
            body: Mutex::default(),
        }
    }

    fn stage(&self, stage: Stage) -> std::io::Result<()> {
        if self.decision.omit_stages.contains(&stage) {
            return Ok(());
        }
        let mut event = self.event.lock();
        event.stage = stage.as_str();
        event.stage_timestamp = stamp(self.audit.clock.now());
        self.audit.emit(&event)
    }

    pub(super) fn received(&self) -> std::io::Result<()> {
        self.stage(Stage::RequestReceived)
    }

    pub(super) fn refused(&self, status: &Value) {
        self.event.lock().response_status = Some(status.clone());
        // The server's log tells if it was not written.
        let _ = self.stage(Stage::ResponseStarted);
    }

    /// Who the request acts as.
    pub(crate) fn impersonated(&self, user: &UserInfo) {
        self.event.lock().impersonated_user = Some(User::from(user));
    }

    /// Adds an annotation; the first of a name stays.
    pub(crate) fn annotate(&self, name: &str, value: String) {
        let mut event = self.event.lock();
        event.annotations.entry(name.to_owned()).or_insert(value);
    }

    /// Reads along with the request's body, if any of it is to be told.
    pub(crate) fn follow_body(self: &Arc<Self>, context: &Context, body: Body) -> Body {
        let names = context.info.verb == "create" && context.info.name.is_empty();
        if context.is_long_running() || (self.decision.level < Level::Request && !names) {
            return body;
        }
        let record = self.clone();
        Body::new(body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                let mut read = record.body.lock();
                if read.len() + data.len() <= OBJECT_BYTES_MAX {
                    read.extend_from_slice(data);
                }
            }
            frame
        }))
    }

    /// What the request's body says goes into the event.
    fn take_body(&self, context: &Context) {
        let body = std::mem::take(&mut *self.body.lock());
        let Some(mut object) = object(&codec::content_type(&context.headers), &body) else {
            return;
        };
        let mut event = self.event.lock();
        if let Some(of) = &mut event.object_ref {
            let text = |name: &str| {
                let value = object.get("metadata").and_then(|data| data.get(name));
                value.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            for (place, name) in [
                (&mut of.namespace, "namespace"),
                (&mut of.name, "name"),
                (&mut of.uid, "uid"),
                (&mut of.resource_version, "resourceVersion"),
            ] {
                if place.is_empty() {
                    *place = text(name);
                }
            }
        }
        if self.decision.level >= Level::Request {
            self.without_managed_fields(&mut object);
            event.request_object = Some(object);
        }
    }

    fn without_managed_fields(&self, object: &mut Value) {
        if !self.decision.omit_managed_fields {
            return;
        }
        let strip = |object: &mut Value| {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        };
        strip(object);
        for list in ["items", "rows"] {
            let items = object.get_mut(list).and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                strip(item.get_mut("object").unwrap_or(&mut Value::Null));
                strip(item);
            }
        }
    }

    /// The answer is there: tells it, and goes on following a long one to its end.
    pub(crate) async fn answered(
        self: &Arc<Self>,
        context: &Context,
        error: Option<&ApiError>,
        response: Response<Body>,
    ) -> Response<Body> {
        self.take_body(context);
        self.event.lock().response_status = Some(status(error, response.status()));
        if context.is_long_running() {
            let _ = self.stage(Stage::ResponseStarted);
            context.life.keep(End(self.clone()));
            return response;
        }
        let response = match self.decision.level {
            Level::RequestResponse => self.take_answer(response).await,
            _ => response,
        };
        let panicked = error.is_some_and(|error| error.message == respond::PANICKED);
        let stage = match panicked {
            true => Stage::Panic,
            false => Stage::ResponseComplete,
        };
        let _ = self.stage(stage);
        response
    }

    /// Reads the answer, which goes on whole.
    async fn take_answer(&self, response: Response<Body>) -> Response<Body> {
        let (parts, body) = response.into_parts();
        let media = codec::content_type(&parts.headers);
        let exact = http_body::Body::size_hint(&body).upper();
        let readable = parts.headers.contains_key(CONTENT_TYPE)
            && exact.is_none_or(|bytes| bytes <= OBJECT_BYTES_MAX as u64);
        if !readable {
            return Response::from_parts(parts, body);
        }
        // A list whose length is not known beforehand is no longer than what the cache holds.
        let whole = match Limited::new(body, usize::MAX).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(_) => Bytes::new(),
        };
        let small = whole.len() <= OBJECT_BYTES_MAX;
        if let Some(mut object) = object(&media, &whole).filter(|_| small) {
            self.without_managed_fields(&mut object);
            self.event.lock().response_object = Some(object);
        }
        Response::from_parts(parts, Body::from(whole))
    }
}

/// The last word on a long request.
struct End(Arc<Record>);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.stage(Stage::ResponseComplete);
    }
}

/// A body as JSON says it, if it can be read.
fn object(media: &str, body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return None;
    }
    match media {
        protobuf::MEDIA_TYPE => wire::table().decode(body).ok(),
        "application/yaml" | "text/yaml" | "application/apply-patch+yaml" => {
            yaml::lenient_value(body).ok().map(|(value, _)| value)
        }
        _ => serde_json::from_slice(body).ok(),
    }
}

/// `responseStatus`: the code, and of an error what it says.
fn status(error: Option<&ApiError>, code: StatusCode) -> Value {
    let Some(error) = error else {
        return json!({ "metadata": {}, "code": code.as_u16() });
    };
    let mut status = error.to_status();
    if let Value::Object(status) = &mut status {
        status.remove("kind");
        status.remove("apiVersion");
    }
    status
}
