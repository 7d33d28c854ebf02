//! One object in the versions that it is served in: ownership is told in the version that a manager
//! wrote, so what has changed is looked at in each of those. Must not know how a kind converts: its
//! row does. Kubernetes: structured-merge-diff `merge.Updater`, which is given a `Converter`.

use super::compare::{Comparison, Node, compare, compare_fields};
use super::manager::Tracking;
use crate::meta::SchemaNode;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How the objects of a kind look in its versions.
pub trait Versions {
    /// An object, or a part of one, of version `from` as version `to` has it. `None`: there is no
    /// such version.
    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value>;

    /// The schema of a version.
    fn schema(&self, api_version: &str) -> Option<&dyn SchemaNode>;
}

impl Tracking<'_> {
    /// `object` of version `from` as version `to` has it.
    pub(super) fn view<'v>(
        &self,
        object: &'v Value,
        from: &str,
        to: &str,
    ) -> Option<Cow<'v, Value>> {
        match self.versions {
            Some(versions) if from != to => versions.convert(object, from, to).map(Cow::Owned),
            _ => Some(Cow::Borrowed(object)),
        }
    }

    /// The schema of a version.
    pub(super) fn schema_of(&self, api_version: &str) -> Node<'_> {
        match self.versions {
            Some(versions) if api_version != self.api_version => versions.schema(api_version),
            _ => self.schema,
        }
    }
}

/// What a write changes, in the version of the request and, once that is asked for, in others.
pub(super) struct Changes<'a> {
    by: &'a Tracking<'a>,
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
    own: Comparison,
    others: BTreeMap<String, Option<Comparison>>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        by: &'a Tracking<'a>,
        old: &'a Map<String, Value>,
        new: &'a Map<String, Value>,
    ) -> Self {
        Self {
            by,
            old,
            new,
            own: compare_fields(old, new, by.schema),
            others: BTreeMap::new(),
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_same(&self) -> bool {
        self.own.is_same()
    }

    /// In the version of the request, without what its endpoint does not write.
    pub(super) fn own(&self) -> Comparison {
        self.own.clone().without(self.by.reset)
    }

    /// In another version, likewise. `None`: there is no such version any more.
    pub(super) fn in_version(&mut self, api_version: &str) -> Option<Comparison> {
        if self.by.versions.is_none() || api_version == self.by.api_version {
            return Some(self.own());
        }
        if !self.others.contains_key(api_version) {
            let found = self.compare_in(api_version);
            self.others.insert(api_version.to_owned(), found);
        }
        self.others.get(api_version).cloned().flatten()
    }

    fn compare_in(&self, api_version: &str) -> Option<Comparison> {
        let view = |fields: &Map<String, Value>| {
            let mut fields = fields.clone();
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("managedFields");
            }
            let object = Value::Object(fields);
            let view = self.by.view(&object, self.by.api_version, api_version);
            view.map(Cow::into_owned)
        };
        let (old, new) = (view(self.old)?, view(self.new)?);
        let changed = compare(&old, &new, self.by.schema_of(api_version));
        Some(changed.without(self.by.reset))
    }
}
