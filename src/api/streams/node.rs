//! Requests to a node's agent: HTTP/1.1 over whatever carries the connection. Must not know what is
//! asked.

use crate::api::ApiServer;
use crate::meta::{ApiError, Reason};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method, Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io;

/// Bytes of a refusal that are passed on.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// The headers by which a client asks for an upgrade; without WebSockets' extensions, of which wkube
/// knows none.
const UPGRADES: [HeaderName; 6] = [
    CONNECTION,
    UPGRADE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_PROTOCOL,
    HeaderName::from_static("x-stream-protocol-version"),
];

/// Passes a client's wish to upgrade its connection on to the agent of `node`.
pub(crate) async fn upgrade(
    server: &ApiServer,
    node: &str,
    path: &str,
    client: &HeaderMap,
) -> Result<Response<Incoming>, ApiError> {
    let mut headers = HeaderMap::new();
    for name in UPGRADES {
        for value in client.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    send(server, node, Method::POST, path, headers).await
}

/// Sends a GET to the agent of `node`.
pub(crate) async fn get(
    server: &ApiServer,
    node: &str,
    path: &str,
) -> Result<Response<Incoming>, ApiError> {
    send(server, node, Method::GET, path, HeaderMap::new()).await
}

async fn send(
    server: &ApiServer,
    node: &str,
    method: Method,
    path: &str,
    headers: HeaderMap,
) -> Result<Response<Incoming>, ApiError> {
    let stream = server
        .nodes
        .connect(node)
        .await
        .map_err(|error| unreachable_node(node, path, &error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ApiError::internal)?;
    // The connection lives as long as the answer is read.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a node's agent has ended");
        }
    });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, node)
        .header(AUTHORIZATION, server.nodes.authorization(node))
        .body(Empty::<Bytes>::new())
        .map_err(ApiError::internal)?;
    request.headers_mut().extend(headers);
    sender
        .send_request(request)
        .await
        .map_err(|error| ApiError::internal(format!("node {node}: {error}")))
}

fn unreachable_node(node: &str, path: &str, error: &io::Error) -> ApiError {
    if error.kind() == io::ErrorKind::NotFound {
        return ApiError::new(Reason::NotFound, format!("nodes {node:?} not found"));
    }
    ApiError::internal(format!("Get \"https://{node}:10250{path}\": {error}"))
}

/// A refusal's text.
pub(crate) async fn small_body(body: Incoming) -> String {
    let limited = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
    match limited {
        Ok(whole) => String::from_utf8_lossy(&whole.to_bytes()).into_owned(),
        Err(error) => format!("the node's answer could not be read: {error}"),
    }
}
