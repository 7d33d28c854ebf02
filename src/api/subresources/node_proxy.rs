//! `nodes/proxy`: what a node's agent tells (`metrics`, `stats/summary`, `pods`, `healthz`), read
//! through the server. The way goes through the `NodeTransport`. Must not know what is told.
//! Kubernetes: registry `core/node/rest` ProxyREST.

use crate::api::context::Context;
use crate::api::streams::node;
use crate::api::verbs::Target;
use crate::api::verbs::update::not_allowed;
use crate::api::{ApiServer, Body};
use crate::meta::ApiError;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use std::sync::Arc;

/// Serves a request to a node's agent.
pub(super) async fn proxy(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    if context.method != Method::GET {
        return Err(not_allowed());
    }
    let query = context.query.as_str();
    let tail = match context.info.tail.as_str() {
        "" => "/",
        tail => tail,
    };
    let path = match query {
        "" => tail.to_owned(),
        query => format!("{tail}?{query}"),
    };
    let answer = node::get(server, node_name(&target.name)?, &path).await?;
    let (mut parts, body) = answer.into_parts();
    let content_type = parts.headers.remove(CONTENT_TYPE);
    // How the agent's connection was used is not the client's business.
    parts.headers.clear();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    parts
        .headers
        .insert(CONTENT_TYPE, content_type.unwrap_or(plain));
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// The node of `name`, `name:port` or `scheme:name:port`: each has one agent.
fn node_name(text: &str) -> Result<&str, ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] | [name, _] | ["http" | "https" | "", name, _] => Ok(name),
        _ => Err(ApiError::bad_request(format!(
            "invalid node request {text:?}"
        ))),
    }
}
