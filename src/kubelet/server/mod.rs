//! The HTTP service of a node: logs, pods, health, usage. Who calls shows the node's token; what
//! is not built says so. Paths and parameters are those of Kubernetes' kubelet.

mod forward;
mod logs;
mod remote;
mod stats;

use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::metrics;
use crate::stdx::METRICS_CONTENT_TYPE;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// What is left to do once a connection was upgraded: it is done by the task that serves it.
type Upgraded = Arc<Mutex<Option<remote::Session>>>;
/// A body that is sent as it comes.
type Body = StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    kubelet: Arc<Kubelet>,
    token: Arc<str>,
) {
    let upgraded = Upgraded::default();
    let left = upgraded.clone();
    let service = service_fn(move |mut request| {
        let (kubelet, token, upgraded) = (kubelet.clone(), token.clone(), upgraded.clone());
        async move { Ok::<_, Infallible>(answer(&kubelet, &token, &mut request, &upgraded).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        // The caller went away; there is nobody to tell.
        tracing::trace!(%error, "a connection to the node ended");
    }
    let session = left.lock().take();
    if let Some(session) = session {
        session.await;
    }
}

async fn answer(
    kubelet: &Arc<Kubelet>,
    token: &str,
    request: &mut Request<Incoming>,
    upgraded: &Upgraded,
) -> Response<Body> {
    let shown = request.headers().get(header::AUTHORIZATION);
    if !shown.is_some_and(|shown| same(shown.as_bytes(), token.as_bytes())) {
        return text(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let path = request.uri().path().to_owned();
    let parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|part| decoded(part).unwrap_or_default())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let query = query(request.uri().query().unwrap_or_default());
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["healthz"]) => text(StatusCode::OK, "ok"),
        (&Method::GET, ["containerLogs", namespace, pod, container]) => {
            logs::answer(kubelet, namespace, pod, container, &query).await
        }
        (&Method::GET, ["pods"]) => pods(kubelet),
        (&Method::GET, ["metrics"]) => figures(kubelet),
        (&Method::GET, ["metrics", "cadvisor"]) => stats::cadvisor(kubelet),
        (&Method::GET, ["metrics", "resource"]) => stats::resource(kubelet),
        (&Method::GET, ["stats", "summary"]) => stats::summary(kubelet),
        (&Method::GET | &Method::POST, [what @ ("exec" | "attach"), namespace, pod, container]) => {
            let place = (*namespace, *pod, *container);
            let asked = remote::answer(kubelet, what, place, request);
            begun(asked, upgraded, &remote::SPDY_PROTOCOLS)
        }
        (&Method::GET | &Method::POST, ["portForward", namespace, pod]) => {
            let asked = forward::answer(kubelet, namespace, pod, request);
            begun(asked, upgraded, &[forward::PROTOCOL])
        }
        (_, ["run", ..]) => {
            let what = parts.first().copied().unwrap_or_default();
            let message = format!("{what} is not built into wkube's nodes yet");
            text(StatusCode::NOT_IMPLEMENTED, message)
        }
        _ => text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

/// The answer to who wants to upgrade his connection; what is left to do then is kept for the task
/// that serves it. A refusal of his protocols tells which there are.
fn begun(
    asked: Result<(Response<()>, remote::Session), remote::Refusal>,
    upgraded: &Upgraded,
    protocols: &[&str],
) -> Response<Body> {
    match asked {
        Ok((response, session)) => {
            *upgraded.lock() = Some(session);
            response.map(|()| body(futures::stream::empty()))
        }
        Err((status, why)) => {
            let mut response = text(status, why);
            if status == StatusCode::FORBIDDEN
                && let Ok(names) = header::HeaderValue::from_str(&protocols.join(","))
            {
                let name = "x-accepted-stream-protocol-versions";
                response.headers_mut().insert(name, names);
            }
            response
        }
    }
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

type Query = HashMap<String, String>;

fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, value)| Some((decoded(name)?, decoded(&value.replace('+', " "))?)))
        .collect()
}

/// A percent-encoded text, decoded; `None` if it is not one.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn body(stream: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(stream.map(|part| part.map(Frame::data)).boxed())
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

fn whole(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let body = body(futures::stream::once(async move { Ok(bytes) }));
    respond(status, content_type, body)
}

fn text(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let bytes = Bytes::from(message.into());
    whole(status, "text/plain; charset=utf-8", bytes)
}

fn as_json(value: &serde_json::Value) -> Response<Body> {
    whole(StatusCode::OK, "application/json", value.to_string().into())
}

fn figures(kubelet: &Arc<Kubelet>) -> Response<Body> {
    match metrics::of_node(kubelet).encode() {
        Ok(text) => whole(StatusCode::OK, METRICS_CONTENT_TYPE, text.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn pods(kubelet: &Kubelet) -> Response<Body> {
    let pods: Vec<_> = kubelet.entries().iter().map(|entry| entry.pod()).collect();
    let items: Vec<_> = pods.iter().map(AsRef::as_ref).collect();
    as_json(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}
