//! The ordered map from key to present value. Persistent (`imbl`): a snapshot is O(1), so a long
//! range read neither blocks writes nor sees them. Must not know history or watchers.

use super::{Event, KeyValue, Range, Revision};
use imbl::OrdMap;
use std::ops::Bound;
use std::sync::Arc;

/// All keys as of one revision. Cloning is a snapshot.
#[derive(Clone, Default)]
pub(super) struct Index {
    keys: OrdMap<Arc<str>, KeyValue>,
    revision: Revision,
    value_bytes: u64,
}

impl Index {
    /// An index that holds `keys` as of `revision`.
    pub(super) fn new(keys: impl Iterator<Item = KeyValue>, revision: Revision) -> Self {
        let keys: OrdMap<Arc<str>, KeyValue> = keys.map(|kv| (kv.key.clone(), kv)).collect();
        let value_bytes = keys.values().map(|kv| kv.value.len() as u64).sum();
        Self {
            keys,
            revision,
            value_bytes,
        }
    }

    /// The revision of the last change.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of all values.
    pub(super) fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    /// The key's present value.
    pub(super) fn get(&self, key: &str) -> Option<&KeyValue> {
        self.keys.get(key)
    }

    /// Takes in a change.
    pub(super) fn apply(&mut self, event: &Event) {
        self.set(event.key.clone(), event.current.clone());
        self.revision = event.revision;
    }

    /// Makes a key hold `present`, or nothing, without a revision of its own.
    pub(super) fn set(&mut self, key: Arc<str>, present: Option<KeyValue>) {
        let added = present.as_ref().map_or(0, |kv| kv.value.len() as u64);
        let replaced = match present {
            Some(kv) => self.keys.insert(key, kv),
            None => self.keys.remove(&*key),
        };
        let removed = replaced.map_or(0, |kv| kv.value.len() as u64);
        self.value_bytes = (self.value_bytes + added).saturating_sub(removed);
    }

    /// Keys that begin with `prefix` and come after `after`, at most `limit` (0 = all).
    pub(super) fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Range {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = self
            .keys
            .range::<_, str>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, kv)| kv.clone());
        let limit = if limit == 0 { usize::MAX } else { limit };
        let items: Vec<KeyValue> = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        Range {
            revision: self.revision,
            items,
            more,
        }
    }
}
