//! `pods/proxy`: a request passed on to a port of the pod and its answer passed back, both as
//! streams, upgrades included. The way goes through the `Dialer`, so into the virtual network.
//! Kubernetes: registry `core/pod/rest` ProxyREST, apimachinery `util/proxy`.

use super::pod;
use crate::api::context::Context;
use crate::api::streams;
use crate::api::verbs::Target;
use crate::api::{ApiServer, Body};
use crate::meta::{ApiError, Reason};
use http::header::{AUTHORIZATION, CONNECTION, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;

/// Headers that are about one connection and not about the request.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Serves a proxied request.
pub(super) async fn proxy(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (name, port) = split_name(&target.name)?;
    let pod = pod::find(server, target, name)?;
    let address = pod::address(&pod, port)?;
    let reads = matches!(context.method, Method::GET | Method::HEAD);
    let upgrades = is_upgrade(&context.headers);
    if context.info.tail.is_empty() && reads && !upgrades {
        return redirect(&request);
    }
    let prefix = prefix_of(request.uri().path(), &context.info.tail);
    let request = outgoing(request, &context.info.tail, address, upgrades)?;
    let stream = streams::dial(server, address)
        .await
        .map_err(|error| unreachable(&error.to_string()))?;
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| unreachable(&error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection ended badly");
        }
    });
    let (request, upgraded_client) = request;
    let answer = sender.send_request(request).await;
    let mut answer = answer.map_err(|error| unreachable(&error.to_string()))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded_pod = hyper::upgrade::on(&mut answer);
        if let Some(client) = upgraded_client {
            server.upgraded(context, streams::join_upgraded(client, upgraded_pod));
        }
        return Ok(answer.map(|_| Body::empty()));
    }
    let (mut parts, body) = answer.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    rewrite_location(&mut parts.headers, address, &prefix);
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// `name`, `name:port` or `scheme:name:port`.
fn split_name(text: &str) -> Result<(&str, &str), ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Ok((name, "")),
        [name, port] => Ok((name, port)),
        ["http" | "", name, port] => Ok((name, port)),
        ["https", _, _] => Err(ApiError::bad_request(
            "pods are proxied over http only: wkube ends no TLS inside the cluster",
        )),
        _ => Err(ApiError::bad_request(format!(
            "invalid pod request {text:?}"
        ))),
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    has && headers.contains_key(UPGRADE)
}

/// A path without its last slash is not a place to be in: relative links would leave it.
fn redirect(request: &Request<Body>) -> Result<Response<Body>, ApiError> {
    let uri = request.uri();
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let place = format!("{}/{query}", uri.path());
    Response::builder()
        .status(StatusCode::MOVED_PERMANENTLY)
        .header(LOCATION, place)
        .body(Body::empty())
        .map_err(ApiError::internal)
}

/// The path up to what is passed on.
fn prefix_of(path: &str, tail: &str) -> String {
    path.strip_suffix(tail).unwrap_or(path).to_owned()
}

/// The request as the pod gets it, and the client's end if it upgrades.
fn outgoing(
    mut request: Request<Body>,
    tail: &str,
    address: SocketAddr,
    upgrades: bool,
) -> Result<(Request<Body>, Option<hyper::upgrade::OnUpgrade>), ApiError> {
    let client = upgrades.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query();
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    let path = if tail.is_empty() { "/" } else { tail };
    let upgrade = parts.headers.get(UPGRADE).cloned();
    let host = parts.headers.get(HOST).cloned();
    parts.uri = format!("{path}{query}")
        .parse::<Uri>()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    parts.version = http::Version::HTTP_11;
    remove_hop_by_hop(&mut parts.headers);
    // Who asks is not the pod's business, least of all with what he proves it.
    parts.headers.remove(AUTHORIZATION);
    let impersonation: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("impersonate-"))
        .cloned()
        .collect();
    for name in impersonation {
        parts.headers.remove(name);
    }
    let own_host = HeaderValue::from_str(&address.to_string()).map_err(ApiError::internal)?;
    parts.headers.insert(HOST, own_host);
    if let Some(host) = host {
        parts.headers.insert("x-forwarded-host", host);
    }
    parts
        .headers
        .insert("x-forwarded-proto", HeaderValue::from_static("https"));
    if let Some(upgrade) = upgrade.filter(|_| upgrades) {
        parts.headers.insert(UPGRADE, upgrade);
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    // The identity in the extensions stays here.
    parts.extensions.clear();
    Ok((Request::from_parts(parts, body), client))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named
        .iter()
        .map(String::as_str)
        .chain(HOP_BY_HOP.iter().copied())
    {
        headers.remove(name);
    }
}

/// A redirect within the pod is one within the proxy.
fn rewrite_location(headers: &mut HeaderMap, address: SocketAddr, prefix: &str) {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let own = format!("http://{address}");
    let path = location.strip_prefix(&own).unwrap_or(location);
    if path.starts_with('/')
        && !path.starts_with("//")
        && let Ok(value) = HeaderValue::from_str(&format!("{prefix}{path}"))
    {
        headers.insert(LOCATION, value);
    }
}

/// 503 in Kubernetes' words.
fn unreachable(why: &str) -> ApiError {
    ApiError::new(
        Reason::ServiceUnavailable,
        format!("error trying to reach service: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_scheme_and_port() {
        assert_eq!(split_name("p"), Ok(("p", "")));
        assert_eq!(split_name("p:80"), Ok(("p", "80")));
        assert_eq!(split_name("http:p:80"), Ok(("p", "80")));
        assert!(split_name("https:p:80").is_err());
        assert!(split_name("a:b:c:d").is_err());
    }

    #[test]
    fn redirects_stay_in_the_proxy() {
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        for (sent, told) in [
            ("/x", "/prefix/x"),
            ("http://10.0.0.1:80/x", "/prefix/x"),
            ("http://elsewhere/x", "http://elsewhere/x"),
            ("//elsewhere/x", "//elsewhere/x"),
            ("relative", "relative"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, sent.parse().unwrap());
            rewrite_location(&mut headers, address, "/prefix");
            assert_eq!(headers[LOCATION], told);
        }
    }
}
