//! Which of a server's resources a word on the command line or a manifest means. Must not know verbs.

use crate::cli::context::CliError;
use crate::client::{Client, ClientError, Versions, discover};
use serde_json::Value;
use std::collections::HashSet;

pub(crate) use crate::client::ApiResource;

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

/// All resources of a server, preferred versions first.
pub(crate) struct Discovery {
    resources: Vec<ApiResource>,
}

impl Discovery {
    /// Asks the server.
    pub(crate) async fn read(client: &Client) -> Result<Self, ClientError> {
        let resources = discover(client, Versions::All).await?;
        Ok(Self { resources })
    }

    /// Each resource of a group once, in the version that the server prefers of those that have it.
    pub(crate) fn preferred(&self) -> Vec<&ApiResource> {
        let mut seen = HashSet::new();
        let rows = self.resources.iter();
        rows.filter(|row| seen.insert((&row.resource.group, &row.resource.resource)))
            .collect()
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
            .preferred()
            .into_iter()
            .filter(|row| row.categories.contains(&lower))
            .collect();
        if of_category.is_empty() {
            let what = format!("the server doesn't have a resource type {name:?}");
            return Err(CliError::new(what));
        }
        Ok(of_category)
    }
}
