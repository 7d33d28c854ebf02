//! What stands beside an object and is no part of it: binding, eviction, logs, streams. One file
//! each; the table of them is [`serve`]. Must not know how a path was matched.

mod binding;
mod component_status;
mod eviction;
mod log;
mod node_proxy;
mod pod;
mod proxy;
mod remote;
mod reviews;
mod scale;
mod token;
mod usage;

pub(crate) use usage::Usage;

use crate::api::context::Context;
use crate::api::verbs::Target;
use crate::api::verbs::update::not_allowed;
use crate::api::{ApiServer, Body};
use crate::meta::{ApiError, Reason};
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// Serves a subresource.
pub(crate) async fn serve(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    match (target.def.plural.as_ref(), target.subresource.as_str()) {
        ("pods", "binding") => binding::bind(server, context, target, request).await,
        ("pods", "eviction") => eviction::evict(server, context, target, request).await,
        ("pods", "log") => log::log(server, context, target).await,
        ("pods", "proxy") => proxy::proxy(server, context, target, request).await,
        ("pods", "exec" | "attach") => remote::connect(server, context, target, request).await,
        ("pods", "portforward") => remote::forward(server, context, target, request).await,
        ("serviceaccounts", "token") => token::create(server, context, target, request).await,
        ("nodes", "proxy") => node_proxy::proxy(server, context, target).await,
        (_, "scale") => scale::serve(server, context, target, request).await,
        (resource, subresource) => Err(later(resource, subresource)),
    }
}

/// Serves the create of a kind that is not stored.
pub(crate) async fn create(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    match target.def.plural.as_ref() {
        "bindings" => binding::bind(server, context, target, request).await,
        review if reviews::is_review(review) => {
            reviews::review(server, context, target, request).await
        }
        _ => Err(not_allowed()),
    }
}

/// Serves the get or the list of a kind that is not stored.
pub(crate) async fn read(
    server: &ApiServer,
    context: &Context,
    target: &Target,
) -> Result<Response<Body>, ApiError> {
    match target.def.plural.as_ref() {
        _ if target.def.group == usage::GROUP => usage::read(server, context, target).await,
        "componentstatuses" => component_status::read(server, context, target),
        _ => Err(not_allowed()),
    }
}

/// 501: served by Kubernetes, not by wkube yet.
fn later(resource: &str, subresource: &str) -> ApiError {
    let mut error = ApiError::new(
        Reason::Unknown,
        format!("{resource}/{subresource} is not served by this version of wkube yet"),
    );
    error.code = 501;
    error
}

/// Status of a success that answers with nothing else.
fn success(code: u16) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": code,
    })
}
