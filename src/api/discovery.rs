//! What is served: groups, versions, resources, in the old form and in the aggregated one. Follows
//! from the table. Must not know a kind.
//! Kubernetes: apiserver `endpoints/discovery`, `apidiscovery.k8s.io`.

use crate::api::codec::{self, Accepted};
use crate::api::context::Context;
use crate::api::route::not_found;
use crate::api::{ApiServer, Body, respond};
use crate::meta::ApiError;
use crate::resources::{DefRef, GroupVersions, Scheme, Subresource, Verb};
use crate::stdx::Digest;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

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
    let value = json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": host }],
    });
    respond::value(&accepted, StatusCode::OK, &value)
}

/// `/apis`: the other groups.
pub(crate) fn groups(server: &ApiServer, context: &Context) -> Result<Response<Body>, ApiError> {
    let (accepted, aggregated) = codec::accept_discovery(context)?;
    let scheme = &server.registry.scheme();
    let groups = named_groups(scheme);
    if let Some(version) = aggregated {
        return aggregated_list(context, &accepted, version, scheme, groups);
    }
    let groups: Vec<Value> = groups.iter().map(group_value).collect();
    let value = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
    respond::value(&accepted, StatusCode::OK, &value)
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
    let value = match (prefix, rest.split_once('/')) {
        ("api", None) => resource_list(scheme, "", rest)?,
        ("apis", None) => {
            let groups = named_groups(scheme);
            let group = groups.iter().find(|group| group.group == rest);
            let mut value = group_value(group.ok_or_else(not_found)?);
            if let Value::Object(map) = &mut value {
                map.insert("kind".to_owned(), json!("APIGroup"));
                map.insert("apiVersion".to_owned(), json!("v1"));
            }
            value
        }
        ("apis", Some((group, version))) if !group.is_empty() => {
            resource_list(scheme, group, version)?
        }
        _ => return Err(not_found()),
    };
    respond::value(&accepted, StatusCode::OK, &value)
}

fn named_groups(scheme: &Scheme) -> Vec<GroupVersions> {
    let groups = scheme.groups().into_iter();
    groups.filter(|group| !group.group.is_empty()).collect()
}

fn group_value(group: &GroupVersions) -> Value {
    let version = |version: &String| {
        json!({
            "groupVersion": format!("{}/{version}", group.group),
            "version": version,
        })
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({
        "name": group.group,
        "versions": versions,
        "preferredVersion": group.versions.first().map(version),
    })
}

/// Nothing new is made of a kind that is on its way out.
fn row_verbs(row: &DefRef) -> Vec<&'static str> {
    let makes = |verb: &&Verb| matches!(verb, Verb::Create | Verb::Patch | Verb::Update);
    let told = row.verbs.iter().filter(|verb| !row.ending || !makes(verb));
    told.map(|verb| verb.as_str()).collect()
}

fn verbs(list: &[Verb]) -> Vec<&'static str> {
    list.iter().map(|verb| verb.as_str()).collect()
}

fn resource_list(scheme: &Scheme, group: &str, version: &str) -> Result<Value, ApiError> {
    let rows = scheme.group_version(group, version);
    let api_version = rows.first().ok_or_else(not_found)?.api_version();
    let mut resources = Vec::new();
    for row in rows {
        resources.push(resource_value(row));
        for subresource in row.subresources.iter() {
            resources.push(subresource_value(row, subresource));
        }
    }
    Ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": resources,
    }))
}

fn resource_value(row: &DefRef) -> Value {
    let mut value = json!({
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.is_namespaced(),
        "kind": row.kind,
        "verbs": row_verbs(row),
    });
    if let Value::Object(map) = &mut value {
        if !row.short_names.is_empty() {
            map.insert("shortNames".to_owned(), json!(row.short_names));
        }
        if !row.categories.is_empty() {
            map.insert("categories".to_owned(), json!(row.categories));
        }
    }
    value
}

fn subresource_value(row: &DefRef, subresource: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", row.plural, subresource.name),
        "singularName": "",
        "namespaced": row.is_namespaced(),
        "kind": subresource.kind,
        "verbs": verbs(&subresource.verbs),
    });
    if let Value::Object(map) = &mut value {
        if let Some(group) = &subresource.group {
            map.insert("group".to_owned(), json!(group));
        }
        if let Some(version) = &subresource.version {
            map.insert("version".to_owned(), json!(version));
        }
    }
    value
}

fn aggregated_list(
    context: &Context,
    accepted: &Accepted,
    version: &'static str,
    scheme: &Scheme,
    groups: Vec<GroupVersions>,
) -> Result<Response<Body>, ApiError> {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|version| aggregated_version(scheme, &group.group, version))
                .collect();
            json!({
                "metadata": { "name": group.group },
                "versions": versions,
            })
        })
        .collect();
    let value = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let bytes = codec::encode(accepted, &value)?;
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

fn aggregated_version(scheme: &Scheme, group: &str, version: &str) -> Value {
    let rows = scheme.group_version(group, version);
    let resources: Vec<Value> = rows.iter().map(|row| aggregated_resource(row)).collect();
    json!({ "version": version, "freshness": "Current", "resources": resources })
}

fn aggregated_resource(row: &DefRef) -> Value {
    let response_kind = |subresource: Option<&Subresource>| {
        let kind = subresource.map_or(&row.kind, |sub| &sub.kind);
        let group = subresource.and_then(|sub| sub.group.as_ref());
        let version = subresource.and_then(|sub| sub.version.as_ref());
        json!({
            "group": group.unwrap_or(&row.group),
            "version": version.unwrap_or(&row.version),
            "kind": kind,
        })
    };
    let subresources: Vec<Value> = row
        .subresources
        .iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": response_kind(Some(sub)),
                "verbs": verbs(&sub.verbs),
            })
        })
        .collect();
    let mut value = json!({
        "resource": row.plural,
        "responseKind": response_kind(None),
        "scope": if row.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular,
        "verbs": row_verbs(row),
    });
    if let Value::Object(map) = &mut value {
        for (name, list) in [
            ("shortNames", &row.short_names),
            ("categories", &row.categories),
        ] {
            if !list.is_empty() {
                map.insert(name.to_owned(), json!(list));
            }
        }
        if !subresources.is_empty() {
            map.insert("subresources".to_owned(), json!(subresources));
        }
    }
    value
}
