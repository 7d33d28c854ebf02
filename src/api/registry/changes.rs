//! What happened to a kind's objects lately: a bounded ring, from which a watch resumes and an
//! older state is worked out. Must not know who watches.

use super::encoded::Cached;
use imbl::OrdMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Changes of one kind that are kept.
pub(crate) const CHANGES_MAX: usize = 10_000;
/// Bytes of the objects in them, at most.
pub(crate) const CHANGES_BYTES_MAX: usize = 8 << 20;

/// A kind's objects by key (`namespace/name` or `name`). Cloning is cheap.
pub(crate) type Objects = OrdMap<Arc<str>, Cached>;

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Arc<str>,
    /// `None` when it was deleted.
    pub(crate) current: Option<Cached>,
    /// `None` when it was made.
    pub(crate) previous: Option<Cached>,
}

impl Change {
    /// Bytes it holds on to.
    pub(crate) fn len(&self) -> usize {
        let len = |cached: &Option<Cached>| cached.as_ref().map_or(0, Cached::len);
        len(&self.current) + len(&self.previous)
    }
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Changes {
    ring: VecDeque<Arc<Change>>,
    bytes: usize,
    /// The last change that has been forgotten; what is after it is here.
    floor: u64,
}

/// A revision is older than what is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOld {
    /// The oldest revision that can be asked for.
    pub(crate) oldest: u64,
}

impl Changes {
    /// Nothing is known of what was before `floor`.
    pub(crate) fn new(floor: u64) -> Self {
        Self {
            ring: VecDeque::new(),
            bytes: 0,
            floor,
        }
    }

    /// Adds the newest change.
    pub(crate) fn push(&mut self, change: Arc<Change>) {
        self.bytes += change.len();
        self.ring.push_back(change);
        while self.ring.len() > CHANGES_MAX || self.bytes > CHANGES_BYTES_MAX {
            let Some(old) = self.ring.pop_front() else {
                break;
            };
            self.bytes -= old.len();
            self.floor = old.revision;
        }
    }

    /// Forgets up to `revision`.
    pub(crate) fn forget(&mut self, revision: u64) {
        while let Some(old) = self.ring.front()
            && old.revision <= revision
        {
            self.bytes -= old.len();
            self.ring.pop_front();
        }
        self.floor = self.floor.max(revision);
    }

    /// The changes after `revision`, oldest first.
    pub(crate) fn after(
        &self,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Arc<Change>>, TooOld> {
        if revision < self.floor {
            return Err(TooOld { oldest: self.floor });
        }
        let first = self.ring.partition_point(|c| c.revision <= revision);
        Ok(self.ring.range(first..))
    }

    /// The objects as they were at `revision`, worked out by undoing what came after.
    pub(crate) fn undo_to(&self, revision: u64, now: &Objects) -> Result<Objects, TooOld> {
        if revision < self.floor {
            return Err(TooOld { oldest: self.floor });
        }
        let mut objects = now.clone();
        for change in self.ring.iter().rev() {
            if change.revision <= revision {
                break;
            }
            match &change.previous {
                Some(previous) => objects.insert(change.key.clone(), previous.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }
}
