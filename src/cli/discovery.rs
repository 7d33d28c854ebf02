//! Which resources a server has, and which one a word on the command line means. Works with any
//! Kubernetes: it asks the discovery documents that all of them have. Must not know verbs.

use crate::cli::context::CliError;
use crate::client::{Client, ClientError};
use crate::meta::GroupVersionResource;
use futures::future::try_join_all;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

/// A resource of the server.
#[derive(Clone, Debug)]
pub(crate) struct ApiResource {
    pub(crate) resource: GroupVersionResource,
    pub(crate) kind: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl ApiResource {
    /// As kubectl names an object: `pod/x`, `deployment.apps/x`.
    pub(crate) fn object_name(&self, name: &str) -> String {
        let singular = if self.singular.is_empty() {
            self.kind.to_lowercase()
        } else {
            self.singular.clone()
        };
        match self.resource.group.as_str() {
            "" => format!("{singular}/{name}"),
            group => format!("{singular}.{group}/{name}"),
        }
    }

    /// An item of a list, which leaves out what the list says of all of them.
    pub(crate) fn with_type(&self, mut item: Value) -> Value {
        if let Value::Object(map) = &mut item {
            map.entry("apiVersion")
                .or_insert_with(|| self.resource.api_version().into());
            map.entry("kind")
                .or_insert_with(|| self.kind.clone().into());
        }
        item
    }
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    versions: Vec<Version>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Row {
    name: String,
    singular_name: String,
    namespaced: bool,
    kind: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    verbs: Vec<String>,
}

/// All resources of a server, preferred versions first.
pub(crate) struct Discovery {
    resources: Vec<ApiResource>,
}

impl Discovery {
    /// Asks the server.
    pub(crate) async fn read(client: &Client) -> Result<Self, ClientError> {
        let groups: GroupList = document(client, "/apis").await?;
        let mut paths = vec!["/api/v1".to_owned()];
        for group in groups.groups {
            paths.extend(
                group
                    .versions
                    .into_iter()
                    .map(|v| format!("/apis/{}", v.group_version)),
            );
        }
        let lists = try_join_all(
            paths
                .iter()
                .map(|path| document::<ResourceList>(client, path)),
        );
        let mut resources = Vec::new();
        for list in lists.await? {
            let (group, version) = list
                .group_version
                .split_once('/')
                .unwrap_or(("", &list.group_version));
            for row in list
                .resources
                .into_iter()
                .filter(|row| !row.name.contains('/'))
            {
                resources.push(ApiResource {
                    resource: GroupVersionResource::new(group, version, &row.name),
                    kind: row.kind,
                    singular: row.singular_name,
                    short_names: row.short_names,
                    categories: row.categories,
                    namespaced: row.namespaced,
                    verbs: row.verbs,
                });
            }
        }
        Ok(Self { resources })
    }

    /// All rows.
    pub(crate) fn all(&self) -> &[ApiResource] {
        &self.resources
    }

    /// The resource of a manifest's kind.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Result<&ApiResource, CliError> {
        let found = self
            .resources
            .iter()
            .find(|row| row.kind == kind && row.resource.api_version() == api_version);
        found.ok_or_else(|| {
            let what = format!("no matches for kind {kind:?} in version {api_version:?}");
            CliError::new(what)
        })
    }

    /// The resources that a word means: a name, a short name, `name.group`, `name.version.group`,
    /// or a category (several).
    pub(crate) fn find(&self, word: &str) -> Result<Vec<&ApiResource>, CliError> {
        let lower = word.to_lowercase();
        let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let exact = self.resources.iter().find(|row| {
            let is_named = row.resource.resource == name
                || row.singular == name
                || row.kind.to_lowercase() == name
                || row.short_names.iter().any(|short| short == name);
            let group = &row.resource.group;
            let versioned = format!("{}.{group}", row.resource.version);
            is_named && (rest.is_empty() || rest == *group || rest == versioned)
        });
        if let Some(row) = exact {
            return Ok(vec![row]);
        }
        let of_category: Vec<&ApiResource> = self
            .resources
            .iter()
            .filter(|row| row.categories.contains(&lower))
            .collect();
        if of_category.is_empty() {
            let what = format!("the server doesn't have a resource type {name:?}");
            return Err(CliError::new(what));
        }
        Ok(of_category)
    }
}

async fn document<T: serde::de::DeserializeOwned>(
    client: &Client,
    path: &str,
) -> Result<T, ClientError> {
    let bytes = client.call(Method::GET, path, None).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}
