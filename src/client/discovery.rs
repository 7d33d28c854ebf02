//! Which resources a server serves, custom ones included, as its discovery documents tell. Works with
//! any Kubernetes: it asks the documents that all of them have. Must not know what is done with them.

use super::request::{Client, ClientError};
use crate::meta::GroupVersionResource;
use crate::resources::stored_group;
use futures::future::try_join_all;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A resource that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiResource {
    /// Its group, version and plural name.
    pub resource: GroupVersionResource,
    /// The kind of its objects.
    pub kind: String,
    /// The name of one object; empty if the server tells none.
    pub singular: String,
    /// Other names for it.
    pub short_names: Vec<String>,
    /// Names that it shares with others: `all`.
    pub categories: Vec<String>,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What can be asked of it: `get`, `deletecollection`, ...
    pub verbs: Vec<String>,
}

impl ApiResource {
    /// Whether it can be asked for `verb`.
    pub fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    /// Whether it is another view of objects that a resource of the table stores under its own name:
    /// who counts or follows all objects leaves it out.
    pub fn is_view(&self) -> bool {
        stored_group(&self.resource.api_version(), &self.kind).is_some()
    }
}

/// Of which versions of a group the resources are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// All, the preferred one first.
    All,
    /// The preferred one.
    Preferred,
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    versions: Vec<Version>,
    preferred_version: Option<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList {
    group_version: String,
    #[serde(default)]
    resources: Vec<Row>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    name: String,
    singular_name: String,
    namespaced: bool,
    kind: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    verbs: Vec<String>,
}

impl Group {
    fn paths(self, versions: Versions) -> impl Iterator<Item = String> {
        let asked = match versions {
            Versions::All => self.versions,
            Versions::Preferred => {
                let preferred = self.preferred_version.into_iter();
                preferred.chain(self.versions).take(1).collect()
            }
        };
        let path = |version: Version| format!("/apis/{}", version.group_version);
        asked.into_iter().map(path)
    }
}

/// All resources, without what stands beside objects (`pods/log`).
pub async fn discover(
    client: &Client,
    versions: Versions,
) -> Result<Vec<ApiResource>, ClientError> {
    let groups: GroupList = document(client, "/apis").await?;
    let groups = groups.groups.into_iter();
    let paths = std::iter::once("/api/v1".to_owned())
        .chain(groups.flat_map(|group| group.paths(versions)))
        .collect::<Vec<_>>();
    let lists = paths.iter().map(|path| document(client, path));
    let lists: Vec<ResourceList> = try_join_all(lists).await?;
    Ok(lists.into_iter().flat_map(resources).collect())
}

fn resources(list: ResourceList) -> impl Iterator<Item = ApiResource> {
    let of = list.group_version;
    let rows = list.resources.into_iter();
    let objects = rows.filter(|row| !row.name.contains('/'));
    objects.map(move |row| {
        let (group, version) = of.split_once('/').unwrap_or(("", &of));
        ApiResource {
            resource: GroupVersionResource::new(group, version, &row.name),
            kind: row.kind,
            singular: row.singular_name,
            short_names: row.short_names,
            categories: row.categories,
            namespaced: row.namespaced,
            verbs: row.verbs,
        }
    })
}

async fn document<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, ClientError> {
    let bytes = client.call(Method::GET, path, None).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}
