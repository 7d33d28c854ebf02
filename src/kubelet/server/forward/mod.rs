//! `/portForward/<namespace>/<pod>`: connections of a client to ports of a pod, in each of the forms
//! that clients speak. Must not know what the ports serve.
//! Kubernetes: kubelet `server`, cri `streaming/portforward`.

mod channels;
mod pod;
mod spdy_pairs;

use super::remote::{Refusal, Session, nothing_in_common, offered_over_spdy, pairs, switching};
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::pod_spec;
use crate::stdx::websocket;
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pod::Pod;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// SPDY's own name of what is spoken in its streams.
pub(super) const PROTOCOL: &str = "portforward.k8s.io";
/// SPDY in a WebSocket, as kubectl speaks it since 1.30.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// What is spoken in a WebSocket: that, or channels.
const IN_WEBSOCKETS: &[&str] = &[
    TUNNEL,
    "v4.channel.k8s.io",
    "portforward.k8s.io",
    "v2.portforward.k8s.io",
];

/// Answers a request to forward ports.
pub(super) fn answer(
    kubelet: &Arc<Kubelet>,
    namespace: &str,
    name: &str,
    request: &mut Request<Incoming>,
) -> Result<(Response<()>, Session), Refusal> {
    let pod = find(kubelet, namespace, name)?;
    let upgrade = hyper::upgrade::on(&mut *request);
    let headers = request.headers();
    if !websocket::is_request(headers) {
        let offered = offered_over_spdy(headers)?;
        // One that does not say what it speaks is an old one that speaks this.
        if !offered.is_empty() && !offered.contains(&PROTOCOL) {
            return Err(nothing_in_common(&offered, &[PROTOCOL]));
        }
        let session = async move {
            if let Ok(upgraded) = upgrade.await {
                serve_spdy(TokioIo::new(upgraded), pod).await;
            }
        };
        return Ok((switching(PROTOCOL), session.boxed()));
    }
    let Some(protocol) = websocket::protocol(headers, IN_WEBSOCKETS) else {
        let words = format!(
            "no WebSocket protocol in common: the server speaks {}",
            IN_WEBSOCKETS.join(", ")
        );
        return Err((StatusCode::BAD_REQUEST, words));
    };
    let ports = match protocol {
        TUNNEL => Vec::new(),
        _ => ports(request.uri().query().unwrap_or_default())
            .map_err(|why| (StatusCode::BAD_REQUEST, why))?,
    };
    let session = async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = websocket::socket(upgraded).await;
        if protocol == TUNNEL {
            serve_spdy(websocket::bytes_of(socket), pod).await;
        } else {
            channels::serve(socket, pod, ports).await;
        }
    };
    Ok((websocket::accept(headers, protocol), session.boxed()))
}

fn find(kubelet: &Arc<Kubelet>, namespace: &str, name: &str) -> Result<Pod, Refusal> {
    let Some((pod, entry)) = kubelet.find(namespace, name) else {
        return Err((StatusCode::NOT_FOUND, "pod does not exist".to_owned()));
    };
    let address = entry.state.lock().addresses.first().copied();
    let Some(address) = address else {
        let words = format!("sandbox of pod {name:?} is not running");
        return Err((StatusCode::INTERNAL_SERVER_ERROR, words));
    };
    Ok(Pod {
        node: kubelet.node().clone(),
        address,
        name: format!("{namespace}/{name}"),
        uid: pod_spec::uid(&pod).to_owned(),
    })
}

async fn serve_spdy<S>(stream: S, pod: Pod)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if let Err(error) = spdy_pairs::serve(stream, pod).await {
        tracing::debug!(%error, "a port-forward ended badly");
    }
}

/// `ports=80&ports=81`, or separated by commas.
fn ports(query: &str) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for (_, value) in pairs(query).iter().filter(|(name, _)| name == "ports") {
        for text in value.split(',') {
            let port = text.parse::<u16>().ok().filter(|port| *port > 0);
            ports.push(port.ok_or_else(|| format!("unable to parse {text:?} as a port"))?);
        }
    }
    if ports.is_empty() {
        return Err("query parameter \"ports\" is required".to_owned());
    }
    if ports.len() > channels::PORTS_MAX {
        let most = channels::PORTS_MAX;
        return Err(format!("at most {most} ports are forwarded at once"));
    }
    Ok(ports)
}
