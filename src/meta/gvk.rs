//! Names of kinds and of resources, as Kubernetes spells them.

use std::fmt;

/// A kind as it stands in a manifest. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupVersionKind {
    /// API group, empty for core.
    pub group: String,
    /// Version, for example `v1`.
    pub version: String,
    /// Kind, for example `Pod`.
    pub kind: String,
}

impl GroupVersionKind {
    /// Splits an `apiVersion` (`v1`, `apps/v1`) and joins it with `kind`.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

/// A resource as it stands in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupVersionResource {
    /// API group, empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural lower-case name, for example `pods`.
    pub resource: String,
}

impl GroupVersionResource {
    /// From its three parts.
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
        }
    }

    /// Without the version.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.clone(),
            resource: self.resource.clone(),
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

/// A resource whatever its version: what authorization and error messages speak of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupResource {
    /// API group, empty for core.
    pub group: String,
    /// Plural lower-case name.
    pub resource: String,
}

impl fmt::Display for GroupResource {
    /// `pods` or `deployments.apps`, as in Kubernetes' messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

/// `v1` or `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}
