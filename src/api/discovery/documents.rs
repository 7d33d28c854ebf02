//! The documents of discovery, with their fields in the order in which Kubernetes writes them:
//! scripts search the raw text of these answers. Follows from the table. Must not know a kind, nor
//! a request.
//! Kubernetes: apimachinery `meta/v1` APIResourceList and its like, api `apidiscovery/v2`.

use crate::resources::{DefRef, GroupVersions, Scheme, Subresource, Text, Verb};
use crate::stdx::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Bytes of a digest that tell two storage versions apart.
const HASH_BYTES: usize = 8;

/// `/api`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiVersions {
    kind: &'static str,
    versions: Vec<String>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    addresses: [ServerAddress; 1],
}

#[derive(Serialize)]
struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    #[serde(rename = "serverAddress")]
    address: String,
}

impl ApiVersions {
    /// `address` is the server's host and port, as the client named them.
    pub(super) fn new(versions: Vec<String>, address: &str) -> Self {
        let address = ServerAddress {
            client_cidr: "0.0.0.0/0",
            address: address.to_owned(),
        };
        Self {
            kind: "APIVersions",
            versions,
            addresses: [address],
        }
    }
}

/// `/apis`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

impl ApiGroupList {
    pub(super) fn new(groups: &[GroupVersions]) -> Self {
        Self {
            kind: "APIGroupList",
            api_version: "v1",
            groups: groups.iter().map(ApiGroup::listed).collect(),
        }
    }
}

/// `/apis/<group>`, and an element of `/apis`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: String,
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: String,
}

impl ApiGroup {
    /// The group as a document of its own.
    pub(super) fn alone(group: &GroupVersions) -> Self {
        Self {
            kind: Some("APIGroup"),
            api_version: Some("v1"),
            ..Self::listed(group)
        }
    }

    fn listed(group: &GroupVersions) -> Self {
        let version = |version: &String| GroupVersion {
            group_version: format!("{}/{version}", group.group),
            version: version.clone(),
        };
        Self {
            kind: None,
            api_version: None,
            name: group.group.clone(),
            versions: group.versions.iter().map(version).collect(),
            preferred_version: group.versions.first().map(version),
        }
    }
}

/// `/api/<version>` and `/apis/<group>/<version>`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiResourceList<'a> {
    kind: &'static str,
    api_version: &'static str,
    group_version: String,
    resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    kind: &'a str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_empty")]
    short_names: &'a [Text],
    #[serde(skip_serializing_if = "is_empty")]
    categories: &'a [Text],
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version_hash: Option<String>,
}

impl<'a> ApiResourceList<'a> {
    /// `None` when nothing is served there.
    pub(super) fn new(scheme: &'a Scheme, group: &str, version: &str) -> Option<Self> {
        let rows = scheme.group_version(group, version);
        let group_version = rows.first()?.api_version();
        let of_row = |row: &'a DefRef| {
            let below = row.subresources.iter().map(|sub| subresource(row, sub));
            std::iter::once(resource(row)).chain(below)
        };
        Some(Self {
            kind: "APIResourceList",
            api_version: "v1",
            group_version,
            resources: rows.into_iter().flat_map(of_row).collect(),
        })
    }
}

fn resource(row: &DefRef) -> ApiResource<'_> {
    ApiResource {
        name: row.plural.to_string(),
        singular_name: &row.singular,
        namespaced: row.is_namespaced(),
        group: None,
        version: None,
        kind: &row.kind,
        verbs: row_verbs(row),
        short_names: &row.short_names,
        categories: &row.categories,
        storage_version_hash: storage_version_hash(row),
    }
}

fn subresource<'a>(row: &'a DefRef, subresource: &'a Subresource) -> ApiResource<'a> {
    ApiResource {
        name: format!("{}/{}", row.plural, subresource.name),
        singular_name: "",
        namespaced: row.is_namespaced(),
        group: subresource.group.as_deref(),
        version: subresource.version.as_deref(),
        kind: &subresource.kind,
        verbs: verbs(&subresource.verbs),
        short_names: &[],
        categories: &[],
        storage_version_hash: None,
    }
}

/// By what clients see that objects are kept in another version than before; nothing for what is
/// not kept. Kubernetes: apiserver `endpoints/discovery.StorageVersionHash`.
fn storage_version_hash(row: &DefRef) -> Option<String> {
    if !row.verbs.contains(&Verb::Watch) {
        return None;
    }
    let own = (&row.group, &row.version);
    let (group, version) = row.conversion.as_ref().map_or(own, |conversion| {
        let (group, version) = &conversion.stored;
        (group, version)
    });
    let digest = Digest::of(format!("{group}/{version}/{}", row.kind).as_bytes());
    let bytes = digest.bytes().get(..HASH_BYTES)?;
    Some(STANDARD.encode(bytes))
}

/// `/api` and `/apis` in the aggregated form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiGroupDiscoveryList<'a> {
    kind: &'static str,
    api_version: String,
    metadata: NoMetadata,
    items: Vec<GroupDiscovery<'a>>,
}

#[derive(Serialize)]
struct NoMetadata {}

#[derive(Serialize)]
struct GroupDiscovery<'a> {
    metadata: NamedMetadata<'a>,
    versions: Vec<VersionDiscovery<'a>>,
}

#[derive(Serialize)]
struct NamedMetadata<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct VersionDiscovery<'a> {
    version: &'a str,
    resources: Vec<ResourceDiscovery<'a>>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery<'a> {
    resource: &'a str,
    response_kind: ResponseKind<'a>,
    scope: &'static str,
    singular_resource: &'a str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_empty")]
    short_names: &'a [Text],
    #[serde(skip_serializing_if = "is_empty")]
    categories: &'a [Text],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceDiscovery<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceDiscovery<'a> {
    subresource: &'a str,
    response_kind: ResponseKind<'a>,
    verbs: Vec<&'static str>,
}

#[derive(Serialize)]
struct ResponseKind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

impl<'a> ApiGroupDiscoveryList<'a> {
    /// What `scheme` serves of `groups`, in `version` of apidiscovery.k8s.io.
    pub(super) fn new(version: &str, scheme: &'a Scheme, groups: &'a [GroupVersions]) -> Self {
        Self {
            kind: "APIGroupDiscoveryList",
            api_version: format!("apidiscovery.k8s.io/{version}"),
            metadata: NoMetadata {},
            items: groups
                .iter()
                .map(|group| group_discovery(scheme, group))
                .collect(),
        }
    }
}

fn group_discovery<'a>(scheme: &'a Scheme, group: &'a GroupVersions) -> GroupDiscovery<'a> {
    let of_version = |version: &'a String| {
        let rows = scheme.group_version(&group.group, version);
        VersionDiscovery {
            version,
            resources: rows.into_iter().map(resource_discovery).collect(),
            freshness: "Current",
        }
    };
    GroupDiscovery {
        metadata: NamedMetadata { name: &group.group },
        versions: group.versions.iter().map(of_version).collect(),
    }
}

fn resource_discovery<'a>(row: &'a DefRef) -> ResourceDiscovery<'a> {
    let of_subresource = |sub: &'a Subresource| SubresourceDiscovery {
        subresource: &sub.name,
        response_kind: response_kind(row, Some(sub)),
        verbs: verbs(&sub.verbs),
    };
    ResourceDiscovery {
        resource: &row.plural,
        response_kind: response_kind(row, None),
        scope: if row.is_namespaced() {
            "Namespaced"
        } else {
            "Cluster"
        },
        singular_resource: &row.singular,
        verbs: row_verbs(row),
        short_names: &row.short_names,
        categories: &row.categories,
        subresources: row.subresources.iter().map(of_subresource).collect(),
    }
}

fn response_kind<'a>(row: &'a DefRef, subresource: Option<&'a Subresource>) -> ResponseKind<'a> {
    let group = subresource.and_then(|sub| sub.group.as_ref());
    let version = subresource.and_then(|sub| sub.version.as_ref());
    ResponseKind {
        group: group.unwrap_or(&row.group),
        version: version.unwrap_or(&row.version),
        kind: subresource.map_or(&row.kind, |sub| &sub.kind),
    }
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

fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}
