//! From what a request asks to the code that answers it: resources by verb and subresource, other
//! paths by one table. Must not decide who may.

use crate::api::context::Context;
use crate::api::verbs::{self, Target, update::not_allowed};
use crate::api::{ApiServer, Body, discovery, health, openapi, respond, subresources, version};
use crate::meta::{ApiError, Reason};
use crate::resources::{DefRef, Part, Verb};
use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// 404 for what is not served at all.
pub(crate) fn not_found() -> ApiError {
    let text = "the server could not find the requested resource";
    let mut error = ApiError::new(Reason::NotFound, text);
    error.details = json!({});
    error
}

/// Answers a request that has passed the filters.
pub(crate) async fn route(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let mut response = if context.info.is_resource {
        resource(server, context, request).await?
    } else {
        path(server, context).await?
    };
    if context.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    Ok(response)
}

async fn resource(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let info = &context.info;
    if info.resource.is_empty() {
        return Err(not_found());
    }
    let scheme = server.registry.scheme();
    let found = scheme.resource(&info.group, &info.version, &info.resource);
    let def = found.ok_or_else(not_found)?;
    if let Some(text) = def.deprecation_warning() {
        context.warn(text);
    }
    if context.method == Method::OPTIONS {
        return Ok(options(def, &info.subresource));
    }
    // A cluster's object is not below a namespace, and an object of a namespace is not beside it.
    let misplaced = if def.is_namespaced() {
        info.namespace.is_empty()
            && !info.name.is_empty()
            && info.verb != "list"
            && info.verb != "watch"
    } else {
        !info.namespace.is_empty() && def.plural != "namespaces"
    };
    if misplaced {
        return Err(not_found());
    }
    let namespaced = def.is_namespaced();
    let target = Target {
        def: def.clone(),
        namespace: if namespaced {
            info.namespace.clone()
        } else {
            String::new()
        },
        name: info.name.clone(),
        subresource: info.subresource.clone(),
    };
    if info.subresource.is_empty() {
        main(server, context, &target, request).await
    } else {
        part(server, context, &target, request).await
    }
}

/// The object itself.
async fn main(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let allowed = target
        .def
        .verbs
        .iter()
        .any(|verb| verb.as_str() == context.info.verb);
    if !allowed {
        return Err(not_allowed());
    }
    let named = !target.name.is_empty();
    match context.info.verb.as_str() {
        "get" | "list" if target.def.storage_prefix.is_empty() => {
            subresources::read(server, context, target).await
        }
        "get" => verbs::get::get(server, context, target),
        "list" => verbs::list::list(server, context, target),
        "watch" => verbs::watch::watch(server, context, target),
        "create" if target.def.storage_prefix.is_empty() => {
            subresources::create(server, context, target, request).await
        }
        "create" if named => Err(not_allowed()),
        "create" => verbs::create::create(server, context, target, request).await,
        "update" if named => {
            verbs::update::update(server, context, target, Part::Main, request).await
        }
        "patch" if named => verbs::patch::patch(server, context, target, Part::Main, request).await,
        "delete" => verbs::delete::delete(server, context, target, request).await,
        "deletecollection" => {
            verbs::delete_collection::delete_collection(server, context, target, request).await
        }
        _ => Err(not_allowed()),
    }
}

/// A part of the object, or what stands beside it.
async fn part(
    server: &Arc<ApiServer>,
    context: &Arc<Context>,
    target: &Target,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let found = target.def.subresource(&target.subresource);
    let subresource = match found {
        Some(subresource) => subresource,
        None if target.def.schema.is_typed() => return Err(not_found()),
        None => {
            return Err(ApiError::not_found(
                &target.def.group_resource(),
                &target.name,
            ));
        }
    };
    let verb = context.info.verb.as_str();
    let allowed = subresource.verbs.iter().any(|own| own.as_str() == verb);
    if !allowed {
        return Err(not_allowed());
    }
    match (Part::of_subresource(&target.subresource), verb) {
        (Some(_), "get") => verbs::get::get(server, context, target),
        (Some(part), "update") => {
            verbs::update::update(server, context, target, part, request).await
        }
        (Some(part), "patch") => verbs::patch::patch(server, context, target, part, request).await,
        _ => subresources::serve(server, context, target, request).await,
    }
}

fn options(def: &DefRef, subresource: &str) -> Response<Body> {
    let verbs: &[Verb] = match def.subresource(subresource) {
        Some(sub) => &sub.verbs,
        None => &def.verbs,
    };
    let mut methods = vec!["OPTIONS"];
    for verb in verbs {
        let method = match verb {
            Verb::Create => "POST",
            Verb::Delete | Verb::DeleteCollection => "DELETE",
            Verb::Get | Verb::List | Verb::Watch => "GET",
            Verb::Patch => "PATCH",
            Verb::Update => "PUT",
        };
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// A path that is no resource.
async fn path(server: &Arc<ApiServer>, context: &Context) -> Result<Response<Body>, ApiError> {
    if !matches!(context.method, Method::GET | Method::HEAD) {
        return Err(not_allowed());
    }
    let path = context.info.path.trim_end_matches('/');
    let (first, rest) = match path.trim_start_matches('/').split_once('/') {
        Some((first, rest)) => (first, rest),
        None => (path.trim_start_matches('/'), ""),
    };
    match (first, rest) {
        ("", _) => discovery::paths(server, context),
        ("api", "") => discovery::core(server, context),
        ("apis", "") => discovery::groups(server, context),
        ("api" | "apis", _) => discovery::below(server, context, first, rest),
        ("version", "") => version::serve(context),
        ("livez" | "readyz" | "healthz", check) => health::serve(server, context, first, check),
        ("openapi", document) => openapi::serve(server, context, document).await,
        (".well-known", "openid-configuration") => {
            let document = server.accounts.configuration();
            Ok(identity_document("application/json", &document))
        }
        ("openid", "v1/jwks") => {
            let document = server.accounts.keys();
            Ok(identity_document("application/jwk-set+json", &document))
        }
        ("metrics", "") => Ok(server.metrics.serve()),
        ("metrics", "slis") => Ok(server.metrics.serve_levels()),
        _ => Err(not_found()),
    }
}

/// What others need to check tokens; it may be kept for an hour.
/// Kubernetes: `pkg/routes` openidmetadata.
fn identity_document(content_type: &'static str, document: &Value) -> Response<Body> {
    let mut response = respond::bytes_of(content_type, StatusCode::OK, document.to_string());
    let cached = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(CACHE_CONTROL, cached);
    response
}
