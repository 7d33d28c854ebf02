//! What is served: groups, versions, resources, in the old form and in the aggregated one. Follows
//! from the table. Must not know a kind.
//! Kubernetes: apiserver `endpoints/discovery`, `apidiscovery.k8s.io`.

mod documents;

use crate::api::codec::{self, Accepted};
use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond};
use crate::meta::ApiError;
use crate::resources::{GroupVersions, Scheme};
use crate::stdx::Digest;
use documents::{ApiGroup, ApiGroupDiscoveryList, ApiGroupList, ApiResourceList, ApiVersions};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// Paths that are told at `/`, beside those of groups.
const PATHS: &[&str] = &[
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
];

/// `/`: the paths.
pub(crate) fn paths(server: &ApiServer, context: &Context) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept_json(context);
    let mut paths: Vec<String> = PATHS.iter().map(|&path| path.to_owned()).collect();
    paths.extend(["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()]);
    for group in named_groups(&server.registry.scheme()) {
        paths.push(format!("/apis/{}", group.group));
        for version in &group.versions {
            paths.push(format!("/apis/{}/{version}", group.group));
        }
    }
    paths.sort();
    respond::value(&accepted, StatusCode::OK, &json!({ "paths": paths }))
}

/// `/api`: the versions of the core group.
pub(crate) fn core(server: &ApiServer, context: &Context) -> Result<Response<Body>, ApiError> {
    let (accepted, aggregated) = codec::accept_discovery(context)?;
    let scheme = &server.registry.scheme();
    if let Some(version) = aggregated {
        let core = scheme.groups().into_iter().filter(|g| g.group.is_empty());
        return aggregated_list(context, &accepted, version, scheme, core.collect());
    }
    let core = scheme.groups().into_iter().find(|g| g.group.is_empty());
    let versions = core.map(|group| group.versions).unwrap_or_default();
    let host = context.headers.get(http::header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    respond::document(&accepted, &ApiVersions::new(versions, host))
}

/// `/apis`: the other groups.
pub(crate) fn groups(server: &ApiServer, context: &Context) -> Result<Response<Body>, ApiError> {
    let (accepted, aggregated) = codec::accept_discovery(context)?;
    let scheme = &server.registry.scheme();
    let groups = named_groups(scheme);
    if let Some(version) = aggregated {
        return aggregated_list(context, &accepted, version, scheme, groups);
    }
    respond::document(&accepted, &ApiGroupList::new(&groups))
}

/// `/api/<version>`, `/apis/<group>` and `/apis/<group>/<version>`.
pub(crate) fn below(
    server: &ApiServer,
    context: &Context,
    prefix: &str,
    rest: &str,
) -> Result<Response<Body>, ApiError> {
    let accepted = codec::accept(context)?;
    let scheme = &server.registry.scheme();
    let resources = |group: &str, version: &str| {
        let list = ApiResourceList::new(scheme, group, version).ok_or_else(not_found)?;
        respond::document(&accepted, &list)
    };
    match (prefix, rest.split_once('/')) {
        ("api", None) => resources("", rest),
        ("apis", None) => {
            let groups = named_groups(scheme);
            let group = groups.iter().find(|group| group.group == rest);
            respond::document(&accepted, &ApiGroup::alone(group.ok_or_else(not_found)?))
        }
        ("apis", Some((group, version))) if !group.is_empty() => resources(group, version),
        _ => Err(not_found()),
    }
}

fn named_groups(scheme: &Scheme) -> Vec<GroupVersions> {
    let groups = scheme.groups().into_iter();
    groups.filter(|group| !group.group.is_empty()).collect()
}

fn aggregated_list(
    context: &Context,
    accepted: &Accepted,
    version: &'static str,
    scheme: &Scheme,
    groups: Vec<GroupVersions>,
) -> Result<Response<Body>, ApiError> {
    let list = ApiGroupDiscoveryList::new(version, scheme, &groups);
    let bytes = codec::encode_document(accepted, &list)?;
    let etag = format!("\"{}\"", Digest::of(&bytes).hex().to_uppercase());
    let etag = HeaderValue::from_str(&etag).map_err(ApiError::internal)?;
    let same = context.headers.get(IF_NONE_MATCH) == Some(&etag);
    let mut response = if same {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::bytes_of(accepted.content_type(), StatusCode::OK, bytes)
    };
    let content_type = format!(
        "{};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList",
        accepted.content_type()
    );
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(ETAG, etag);
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("public"),
    );
    Ok(response)
}
