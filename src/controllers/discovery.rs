//! What the server serves, as its discovery documents tell: for controllers that act on any kind.
//! Must not know what is done with it.

use crate::client::{Client, ClientError};
use crate::meta::GroupVersionResource;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A resource that is served, in its group's preferred version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) gvr: GroupVersionResource,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    verbs: Vec<String>,
}

impl Served {
    /// Whether it can be asked for `verb`.
    pub(crate) fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    group_version: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

async fn read<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, ClientError> {
    let bytes = client.call(Method::GET, path, None).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Decode(error.to_string()))
}

/// A resource of the core group, for tests.
#[cfg(test)]
pub(crate) fn test_served(resource: &str, kind: &str) -> Served {
    Served {
        gvr: GroupVersionResource::new("", "v1", resource),
        kind: kind.to_owned(),
        namespaced: true,
        verbs: Vec::new(),
    }
}

/// All resources, custom ones included, without what stands beside objects.
pub(crate) async fn resources(client: &Client) -> Result<Vec<Served>, ClientError> {
    let groups: Groups = read(client, "/apis").await?;
    let groups = groups.groups.into_iter();
    let versions = groups.map(|group| format!("/apis/{}", group.preferred_version.group_version));
    let mut found = Vec::new();
    for path in std::iter::once("/api/v1".to_owned()).chain(versions) {
        let list: Resources = read(client, &path).await?;
        let of = &list.group_version;
        let (group, version) = of.split_once('/').unwrap_or(("", of));
        for resource in list.resources {
            if resource.name.contains('/') {
                continue;
            }
            found.push(Served {
                gvr: GroupVersionResource::new(group, version, &resource.name),
                kind: resource.kind,
                namespaced: resource.namespaced,
                verbs: resource.verbs,
            });
        }
    }
    Ok(found)
}
