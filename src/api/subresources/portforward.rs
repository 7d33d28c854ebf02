//! `pods/portforward`: connections of a client to ports of a pod, in each of the forms that clients
//! speak. The streams end here and are dialed into the virtual network.
//! Kubernetes: registry `core/pod/rest` PortForwardREST, kubelet `cri/streaming/portforward`.

use super::{pod, remote};
use crate::api::context::Context;
use crate::api::request_info::query_pairs;
use crate::api::streams::forward::Pod;
use crate::api::streams::{channels, spdy_forward};
use crate::api::verbs::Target;
use crate::api::{ApiServer, Body};
use crate::meta::{ApiError, Reason};
use crate::stdx::websocket;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// SPDY's own name of what is spoken in its streams.
const PROTOCOL: &str = "portforward.k8s.io";
const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
/// SPDY in a WebSocket, as kubectl speaks it since 1.30.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Channels in a WebSocket.
const CHANNELS: &[&str] = &[
    "v4.channel.k8s.io",
    "portforward.k8s.io",
    "v2.portforward.k8s.io",
];

/// Serves a port-forward.
pub(super) async fn forward(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    remote::ensure_create(server, context)?;
    let object = pod::find(server, target, &target.name)?;
    if pod::node(&object).is_empty() {
        return Err(pod::no_host(&object));
    }
    let pod = Pod {
        server: server.clone(),
        address: pod::ip(&object)?,
        name: format!("{}/{}", target.namespace, target.name),
        uid: object.uid().to_owned(),
    };
    let headers = &context.headers;
    let upgrade = hyper::upgrade::on(&mut request);
    if websocket::is_request(headers) {
        let mut known = vec![TUNNEL];
        known.extend(CHANNELS);
        let Some(protocol) = websocket::protocol(headers, &known) else {
            return Err(ApiError::bad_request(format!(
                "no WebSocket protocol in common: the server speaks {}",
                known.join(", ")
            )));
        };
        let ports = if protocol == TUNNEL {
            Vec::new()
        } else {
            ports(context)?
        };
        server.upgraded(context, async move {
            let Ok(upgraded) = upgrade.await else { return };
            let socket = websocket::socket(upgraded).await;
            if protocol == TUNNEL {
                serve_spdy(websocket::bytes_of(socket), pod).await;
            } else {
                channels::serve(socket, pod, ports).await;
            }
        });
        return Ok(websocket::accept(headers, protocol).map(|()| Body::empty()));
    }
    if !is_spdy(headers) {
        return Err(ApiError::bad_request("Upgrade request required"));
    }
    if !offers(headers) {
        let mut error = ApiError::new(
            Reason::Forbidden,
            format!("unable to negotiate protocol: the server speaks {PROTOCOL}"),
        );
        error.code = 403;
        return Err(error);
    }
    server.upgraded(context, async move {
        if let Ok(upgraded) = upgrade.await {
            serve_spdy(TokioIo::new(upgraded), pod).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(PROTOCOL_HEADER, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

async fn serve_spdy<S>(stream: S, pod: Pod)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    if let Err(error) = spdy_forward::serve(stream, pod).await {
        tracing::debug!(%error, "a port-forward ended badly");
    }
}

fn is_spdy(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("SPDY/3.1"))
}

/// Whether the client speaks what is spoken here; one that does not say is an old one that does.
fn offers(headers: &HeaderMap) -> bool {
    let mut offered = headers
        .get_all(PROTOCOL_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .peekable();
    offered.peek().is_none() || offered.any(|one| one.trim() == PROTOCOL)
}

/// `ports=80&ports=81`, or separated by commas.
fn ports(context: &Context) -> Result<Vec<u16>, ApiError> {
    let mut ports = Vec::new();
    for (_, value) in query_pairs(&context.query).filter(|(name, _)| name == "ports") {
        for text in value.split(',') {
            let port = text.parse::<u16>().ok().filter(|port| *port > 0);
            let port = port.ok_or_else(|| {
                ApiError::bad_request(format!("unable to parse {text:?} as a port"))
            })?;
            ports.push(port);
        }
    }
    if ports.is_empty() {
        let text = "query parameter \"ports\" is required";
        return Err(ApiError::bad_request(text));
    }
    if ports.len() > channels::PORTS_MAX {
        return Err(ApiError::bad_request(format!(
            "at most {} ports are forwarded at once",
            channels::PORTS_MAX
        )));
    }
    Ok(ports)
}
