//! `pods/exec`, `pods/attach` and `pods/portforward`: checked here, so that every client sees the same words, and then
//! passed on, upgrade and all, to the agent of the pod's node. Must not know what is said.
//! Kubernetes: registry `core/pod/rest` ExecREST, AttachREST and PortForwardREST,
//! `core/pod` streamLocation.

use super::pod;
use crate::api::authorization::{Attributes, Decision};
use crate::api::context::Context;
use crate::api::request_info::{RequestInfo, is_true, query_pairs};
use crate::api::streams::{join_to_agent, node};
use crate::api::verbs::Target;
use crate::api::{ApiServer, Body, respond};
use crate::meta::{ApiError, GroupResource};
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use std::fmt::Write as _;
use std::sync::Arc;

/// The names of the options, and what the agent calls them.
const STREAMS: &[(&str, &str)] = &[
    ("stdin", "input"),
    ("stdout", "output"),
    ("stderr", "error"),
    ("tty", "tty"),
];

/// Serves an exec or an attach.
pub(super) async fn connect(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    ensure_create(server, context)?;
    let (named, options) = options(context, &target.subresource);
    let object = pod::find(server, target, &target.name)?;
    let container = pod::container(&object, &named)?;
    let node_name = pod::node(&object);
    if node_name.is_empty() {
        return Err(pod::no_host(&object));
    }
    let path = format!(
        "/{}/{}/{}/{container}?{options}",
        target.subresource, target.namespace, target.name
    );
    pass_on(server, context, (node_name, &path), request).await
}

/// Serves a port-forward.
pub(super) async fn forward(
    server: &Arc<ApiServer>,
    context: &Context,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    ensure_create(server, context)?;
    let object = pod::find(server, target, &target.name)?;
    let node_name = pod::node(&object);
    if node_name.is_empty() {
        return Err(pod::no_host(&object));
    }
    let mut path = format!("/portForward/{}/{}?", target.namespace, target.name);
    for (_, ports) in query_pairs(&context.query).filter(|(name, _)| name == "ports") {
        // Writing to a String cannot fail.
        let _ = write!(path, "ports={}&", super::log::encoded(&ports));
    }
    path.truncate(path.trim_end_matches(['&', '?']).len());
    pass_on(server, context, (node_name, &path), request).await
}

/// Passes the wish to upgrade on to the agent of a node, and joins the two if it agrees.
async fn pass_on(
    server: &Arc<ApiServer>,
    context: &Context,
    (node_name, path): (&str, &str),
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    if !context.headers.contains_key(UPGRADE) {
        return Err(ApiError::bad_request("Upgrade request required"));
    }
    let client = hyper::upgrade::on(&mut request);
    let answer = node::upgrade(server, node_name, path, &context.headers).await?;
    let status = answer.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let headers = answer.headers().clone();
        let mut refused = respond::text(status, node::small_body(answer.into_body()).await);
        for (name, value) in &headers {
            if name.as_str().starts_with("x-accepted-") {
                refused.headers_mut().append(name.clone(), value.clone());
            }
        }
        return Ok(refused);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers().clone();
    let container = hyper::upgrade::on(answer);
    let joined = join_to_agent(client, container, server.clock.clone());
    server.upgraded(context, joined);
    Ok(response)
}

/// Who speaks over a WebSocket opens it by a GET; a role that only reads must not be enough to act
/// inside of a container. Kubernetes: registry `core/pod/rest` ensureAuthorizedForVerb.
fn ensure_create(server: &ApiServer, context: &Context) -> Result<(), ApiError> {
    if context.info.verb == "create" {
        return Ok(());
    }
    let info = RequestInfo {
        verb: "create".to_owned(),
        ..context.info.clone()
    };
    let attributes = Attributes {
        user: &context.user,
        info: &info,
        field_selector: "",
    };
    match server.authorization.all.authorize(&attributes) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => {
            let of = GroupResource {
                group: info.group.clone(),
                resource: info.resource.clone(),
            };
            Err(ApiError::forbidden(&of, &info.name, &reason))
        }
    }
}

/// The container that is named, and the options in the agent's words.
fn options(context: &Context, subresource: &str) -> (String, String) {
    let mut container = String::new();
    let mut out = String::new();
    for (name, value) in query_pairs(&context.query) {
        let stream = STREAMS.iter().find(|(own, _)| *own == name);
        match (name.as_str(), stream) {
            ("container", _) => container = value,
            // Writing to a String cannot fail.
            (_, Some((_, agent))) if is_true(&value) => {
                let _ = write!(out, "{agent}=1&");
            }
            ("command", _) if subresource == "exec" => {
                let _ = write!(out, "command={}&", super::log::encoded(&value));
            }
            _ => {}
        }
    }
    out.truncate(out.trim_end_matches('&').len());
    (container, out)
}
