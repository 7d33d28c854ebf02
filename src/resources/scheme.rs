//! Finding a row: by group, version and kind, by resource, by what a user types. A Scheme holds the
//! built-in rows and those made from CustomResourceDefinitions; it is cheap to build and to clone.

use crate::meta::{GroupVersionKind, GroupVersionResource};
use crate::resources::BUILTINS;
use crate::resources::apiextensions::rows::rank;
use crate::resources::def::ResourceDef;
use std::ops::Deref;
use std::sync::Arc;

/// A handle to a row, static or made at run time.
#[derive(Clone)]
pub enum DefRef {
    /// A built-in kind.
    Builtin(&'static ResourceDef),
    /// A custom kind.
    Custom(Arc<ResourceDef>),
}

impl Deref for DefRef {
    type Target = ResourceDef;

    fn deref(&self) -> &ResourceDef {
        match self {
            Self::Builtin(def) => def,
            Self::Custom(def) => def,
        }
    }
}

/// Versions of one group, best first as discovery lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersions {
    /// The group, empty for core.
    pub group: String,
    /// Its versions.
    pub versions: Vec<String>,
}

/// The rows that are served. Some tens of built-in kinds are searched in order: comparing short
/// strings beats hashing them at this size; custom kinds follow.
#[derive(Clone)]
pub struct Scheme {
    rows: Vec<DefRef>,
}

impl Default for Scheme {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Scheme {
    /// The built-in kinds.
    pub fn builtin() -> Self {
        Self {
            rows: BUILTINS.iter().map(|def| DefRef::Builtin(def)).collect(),
        }
    }

    /// Without the versions that Kubernetes does not serve any more.
    #[must_use]
    pub fn without_retired(mut self) -> Self {
        self.rows.retain(|row| !row.is_retired());
        self
    }

    /// All rows, in discovery's order.
    pub fn iter(&self) -> impl Iterator<Item = &DefRef> {
        self.rows.iter()
    }

    /// Puts the versions of a custom kind in the place of those it had; none takes it out. `name` is
    /// that of its definition, under which its objects are stored. Built-in kinds stay.
    pub fn define(&mut self, name: &str, versions: Vec<ResourceDef>) {
        self.rows.retain(|row| match row {
            DefRef::Builtin(_) => true,
            DefRef::Custom(def) => def.storage_prefix != name,
        });
        for def in versions {
            let place = self.rows.iter().position(|row| match row {
                DefRef::Builtin(_) => false,
                DefRef::Custom(own) => comes_before(&def, own),
            });
            let place = place.unwrap_or(self.rows.len());
            self.rows.insert(place, DefRef::Custom(Arc::new(def)));
        }
    }

    /// The built-in kinds alone.
    #[must_use]
    pub fn without_custom(&self) -> Self {
        let rows = self.rows.iter();
        Self {
            rows: rows
                .filter(|row| matches!(row, DefRef::Builtin(_)))
                .cloned()
                .collect(),
        }
    }

    /// The row of a resource as it stands in a URL.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&DefRef> {
        self.rows
            .iter()
            .find(|row| row.plural == plural && row.group == group && row.version == version)
    }

    /// The row of a resource.
    pub fn by_gvr(&self, gvr: &GroupVersionResource) -> Option<&DefRef> {
        self.resource(&gvr.group, &gvr.version, &gvr.resource)
    }

    /// The row of a kind.
    pub fn by_gvk(&self, gvk: &GroupVersionKind) -> Option<&DefRef> {
        self.rows.iter().find(|row| {
            row.kind == gvk.kind && row.group == gvk.group && row.version == gvk.version
        })
    }

    /// The row of an `apiVersion` and a `kind`, as they stand in a manifest.
    pub fn by_api_version(&self, api_version: &str, kind: &str) -> Option<&DefRef> {
        self.by_gvk(&GroupVersionKind::from_api_version(api_version, kind))
    }

    /// The row that owns the stored form of what `row` serves: itself, unless it converts.
    pub fn stored<'a>(&'a self, row: &'a DefRef) -> &'a DefRef {
        let stored = row.conversion.as_ref().map(|conversion| &conversion.stored);
        stored
            .and_then(|(group, version)| self.resource(group, version, &row.plural))
            .unwrap_or(row)
    }

    /// The row that a user means by `po`, `pod`, `pods`, `pods.v1.` or `leases.coordination.k8s.io`:
    /// plural before singular before kind before short name, the first group that has it.
    pub fn find(&self, word: &str) -> Option<&DefRef> {
        let word = word.to_ascii_lowercase();
        let (name, group) = match word.split_once('.') {
            Some((name, group)) => (name, Some(group)),
            None => (word.as_str(), None),
        };
        let in_group = |row: &DefRef| match group {
            None => true,
            Some(group) => row.group == group || format!("{}.{}", row.version, row.group) == group,
        };
        let rows = || self.rows.iter().filter(|row| in_group(row));
        rows()
            .find(|row| row.plural == name)
            .or_else(|| rows().find(|row| row.singular == name))
            .or_else(|| rows().find(|row| row.kind.eq_ignore_ascii_case(name)))
            .or_else(|| rows().find(|row| row.short_names.iter().any(|short| short == name)))
    }

    /// The rows of a category such as `all`.
    pub fn category(&self, name: &str) -> Vec<&DefRef> {
        let has = |row: &&DefRef| row.categories.iter().any(|category| category == name);
        self.rows.iter().filter(has).collect()
    }

    /// The rows of a group and version.
    pub fn group_version(&self, group: &str, version: &str) -> Vec<&DefRef> {
        let has = |row: &&DefRef| row.group == group && row.version == version;
        self.rows.iter().filter(has).collect()
    }

    /// Groups and their versions, in the order of the rows; core first.
    pub fn groups(&self) -> Vec<GroupVersions> {
        let mut groups: Vec<GroupVersions> = Vec::new();
        for row in &self.rows {
            match groups.iter_mut().find(|g| g.group == row.group) {
                None => groups.push(GroupVersions {
                    group: row.group.to_string(),
                    versions: vec![row.version.to_string()],
                }),
                Some(group) => {
                    if !group.versions.iter().any(|v| *v == row.version) {
                        group.versions.push(row.version.to_string());
                    }
                }
            }
        }
        groups
    }
}

/// The order of custom kinds: groups by name, the best version first.
fn comes_before(one: &ResourceDef, other: &ResourceDef) -> bool {
    let versions = || rank(&other.version).cmp(&rank(&one.version));
    let order = one.group.cmp(&other.group).then_with(versions);
    order.then_with(|| one.plural.cmp(&other.plural)).is_lt()
}
