//! Who watches a kind: each with a filter and a bounded queue. Changes are pushed while the commit
//! is being delivered, so this does no more than compare and append; a watcher whose queue is full
//! is cut off and has to list anew. Must not know HTTP.

use super::changes::Change;
use super::encoded::{Cached, Filter};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Changes that wait for one watcher. A commit of the store brings up to a thousand at once.
pub(crate) const QUEUE_CHANGES_MAX: usize = 16_384;
/// Bytes of the objects in them.
pub(crate) const QUEUE_BYTES_MAX: usize = 32 << 20;

/// What a watcher sees of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
}

impl EventKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// An event as a watcher sees it: the object, and the revision at which it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) kind: EventKind,
    pub(crate) object: Cached,
    pub(crate) revision: u64,
}

/// What `filter` makes of a change: an object that starts to match is added, one that stops is
/// deleted, as it last matched.
pub(crate) fn see(filter: &Filter, change: &Change) -> Option<Seen> {
    if !change.key.starts_with(&filter.prefix) {
        return None;
    }
    let matching = |cached: &&Cached| filter.matches(&change.key, &cached.encoded);
    let now = change.current.as_ref().filter(matching);
    let before = change.previous.as_ref().filter(matching);
    let (kind, object) = match (now, before) {
        (Some(now), None) => (EventKind::Added, now),
        (Some(now), Some(_)) => (EventKind::Modified, now),
        (None, Some(before)) => (EventKind::Deleted, before),
        (None, None) => return None,
    };
    Some(Seen {
        kind,
        object: object.clone(),
        revision: change.revision,
    })
}

#[derive(Default)]
struct Queue {
    seen: VecDeque<Seen>,
    bytes: usize,
    cut_off: bool,
}

/// One watcher's end of the stream.
pub(crate) struct Watcher {
    filter: Filter,
    queue: Mutex<Queue>,
    notify: Notify,
}

/// What a watcher found in its queue.
pub(crate) enum Next {
    Seen(Seen),
    Empty,
    CutOff,
}

impl Watcher {
    pub(crate) fn new(filter: Filter) -> Self {
        Self {
            filter,
            queue: Mutex::new(Queue::default()),
            notify: Notify::new(),
        }
    }

    /// Takes the oldest event.
    pub(crate) fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        match queue.seen.pop_front() {
            Some(seen) => {
                queue.bytes = queue.bytes.saturating_sub(seen.object.len());
                Next::Seen(seen)
            }
            None if queue.cut_off => Next::CutOff,
            None => Next::Empty,
        }
    }

    /// Waits until there may be something.
    pub(crate) async fn ready(&self) {
        self.notify.notified().await;
    }

    /// Appends an event without a limit: the backlog at the start of a watch.
    pub(crate) fn preload(&self, seen: Seen) {
        let mut queue = self.queue.lock();
        queue.bytes += seen.object.len();
        queue.seen.push_back(seen);
    }

    fn push(&self, change: &Change) {
        let Some(seen) = see(&self.filter, change) else {
            return;
        };
        let mut queue = self.queue.lock();
        if queue.cut_off {
            return;
        }
        let bytes = queue.bytes + seen.object.len();
        if queue.seen.len() >= QUEUE_CHANGES_MAX || bytes > QUEUE_BYTES_MAX {
            queue.cut_off = true;
        } else {
            queue.bytes = bytes;
            queue.seen.push_back(seen);
        }
        drop(queue);
        self.notify.notify_one();
    }

    /// Ends the stream after what is queued.
    pub(crate) fn cut_off(&self) {
        self.queue.lock().cut_off = true;
        self.notify.notify_one();
    }
}

/// All watchers of a kind. A watcher is gone when its `Arc` is.
#[derive(Default)]
pub(crate) struct Watchers {
    all: Vec<Weak<Watcher>>,
    /// Those that ask for one value of one field (a node's agent for its pods): found by it.
    by_field: HashMap<usize, HashMap<Box<str>, Vec<Weak<Watcher>>>>,
    count: usize,
    sweep_at: usize,
}

/// Watchers that may be gone before the lists are swept.
const SWEEP_STEP: usize = 64;

impl Watchers {
    pub(crate) fn add(&mut self, watcher: &Arc<Watcher>) {
        if self.count >= self.sweep_at {
            self.sweep();
        }
        self.count += 1;
        match watcher.filter.trigger() {
            Some((index, value)) => self
                .by_field
                .entry(index)
                .or_default()
                .entry(value.into())
                .or_default()
                .push(Arc::downgrade(watcher)),
            None => self.all.push(Arc::downgrade(watcher)),
        }
    }

    /// Forgets watchers that have gone.
    fn sweep(&mut self) {
        self.all.retain(|watcher| watcher.strong_count() > 0);
        let mut count = self.all.len();
        for values in self.by_field.values_mut() {
            values.retain(|_, list| {
                list.retain(|watcher| watcher.strong_count() > 0);
                count += list.len();
                !list.is_empty()
            });
        }
        self.count = count;
        self.sweep_at = count * 2 + SWEEP_STEP;
    }

    /// Shows a change to those whom it may concern.
    pub(crate) fn push(&self, change: &Change) {
        for watcher in self.all.iter().filter_map(Weak::upgrade) {
            watcher.push(change);
        }
        for (index, values) in &self.by_field {
            let value = |cached: &Option<Cached>| {
                let cached = cached.as_ref()?;
                values.get(cached.encoded.field(*index).unwrap_or_default())
            };
            let now = value(&change.current);
            let before = value(&change.previous);
            for watcher in now.into_iter().flatten().filter_map(Weak::upgrade) {
                watcher.push(change);
            }
            let same = now.zip(before).is_some_and(|(a, b)| std::ptr::eq(a, b));
            if !same {
                for watcher in before.into_iter().flatten().filter_map(Weak::upgrade) {
                    watcher.push(change);
                }
            }
        }
    }

    /// Ends all streams.
    pub(crate) fn cut_off(&self) {
        let fields = self.by_field.values().flat_map(HashMap::values).flatten();
        for watcher in self.all.iter().chain(fields).filter_map(Weak::upgrade) {
            watcher.cut_off();
        }
    }

    /// How many there are, more or less.
    pub(crate) fn len(&self) -> usize {
        let fields = self.by_field.values().flat_map(HashMap::values).flatten();
        let live = |watcher: &&Weak<Watcher>| watcher.strong_count() > 0;
        self.all.iter().chain(fields).filter(live).count()
    }
}
