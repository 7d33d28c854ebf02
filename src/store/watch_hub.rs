//! Fan-out: which sinks hear of a change. Sinks are grouped by prefix in an ordered map, so a
//! change finds its groups in a few steps however many watchers there are. Must not know history.

use super::{Event, Sink, StoreError};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One sink that listens, as long as it is not `dropped`.
pub(super) struct Listener {
    sink: Arc<dyn Sink>,
    dropped: AtomicBool,
}

impl Listener {
    pub(super) fn new(sink: Arc<dyn Sink>) -> Arc<Self> {
        Arc::new(Self {
            sink,
            dropped: AtomicBool::new(false),
        })
    }

    /// Nothing is delivered after this, but for a call that is under way.
    pub(super) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Hands over changes. A sink that panics is cut off; it must not take the store along.
    pub(super) fn deliver(&self, events: &[Event]) {
        if events.is_empty() || self.dropped.load(Ordering::Acquire) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.sink.deliver(events))).is_err() {
            tracing::error!("a watcher panicked and was cut off");
            self.mark_dropped();
        }
    }

    /// Tells the sink that its stream has ended.
    pub(super) fn close(&self, why: StoreError) {
        if self.dropped.swap(true, Ordering::AcqRel) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.sink.closed(why))).is_err() {
            tracing::error!("a watcher panicked while it was closed");
        }
    }
}

/// Every listener, by prefix.
#[derive(Default)]
pub(super) struct WatchHub {
    groups: BTreeMap<Arc<str>, Vec<Arc<Listener>>>,
}

impl WatchHub {
    /// Adds a listener to the keys that begin with `prefix`.
    pub(super) fn add(&mut self, prefix: &Arc<str>, listener: Arc<Listener>) {
        self.groups
            .entry(prefix.clone())
            .or_default()
            .push(listener);
    }

    /// How many listen.
    pub(super) fn len(&self) -> usize {
        self.groups.values().map(Vec::len).sum()
    }

    /// Removes a listener.
    pub(super) fn remove(&mut self, prefix: &str, listener: &Arc<Listener>) {
        let Some(group) = self.groups.get_mut(prefix) else {
            return;
        };
        group.retain(|other| !Arc::ptr_eq(other, listener));
        if group.is_empty() {
            self.groups.remove(prefix);
        }
    }

    /// Hands each listener the changes of its prefix, in one call.
    pub(super) fn deliver(&self, events: &[Event]) {
        if let [event] = events {
            for (_, group) in self.matching(&event.key) {
                for listener in group {
                    listener.deliver(events);
                }
            }
            return;
        }
        let mut per_group: BTreeMap<&str, (&[Arc<Listener>], Vec<Event>)> = BTreeMap::new();
        for event in events {
            for (prefix, group) in self.matching(&event.key) {
                let entry = per_group.entry(prefix);
                let (_, theirs) = entry.or_insert_with(|| (group, Vec::new()));
                theirs.push(event.clone());
            }
        }
        for (group, theirs) in per_group.values() {
            for listener in *group {
                listener.deliver(theirs);
            }
        }
    }

    /// Ends every stream.
    pub(super) fn close(&mut self, why: &StoreError) {
        for listener in std::mem::take(&mut self.groups).into_values().flatten() {
            listener.close(why.clone());
        }
    }

    /// The groups whose prefix `key` begins with, longest first. Each step either finds one or
    /// rules out all prefixes longer than what `key` shares with its neighbour in the map.
    fn matching<'a>(
        &'a self,
        key: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [Arc<Listener>])> {
        let mut upto = Some(Bound::Included(key));
        std::iter::from_fn(move || {
            loop {
                let below = self.groups.range::<str, _>((Bound::Unbounded, upto?));
                let (prefix, group) = below.into_iter().next_back()?;
                let shared = shared_prefix(prefix, key);
                if shared.len() == prefix.len() {
                    upto = (!prefix.is_empty()).then_some(Bound::Excluded(&**prefix));
                    return Some((&**prefix, group.as_slice()));
                }
                upto = Some(Bound::Included(shared));
            }
        })
    }
}

/// What `a` and `b` begin with alike, taken from `b`.
fn shared_prefix<'b>(a: &str, b: &'b str) -> &'b str {
    let alike = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    b.get(..b.floor_char_boundary(alike)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Deaf;
    impl Sink for Deaf {
        fn deliver(&self, _: &[Event]) {}
        fn closed(&self, _: StoreError) {}
    }

    proptest! {
        #[test]
        fn finds_exactly_the_prefixes(
            prefixes in proptest::collection::btree_set("[a/é]{0,5}", 0..20),
            key in "[a/éb]{0,8}",
        ) {
            let mut hub = WatchHub::default();
            for prefix in &prefixes {
                hub.add(&Arc::from(prefix.as_str()), Listener::new(Arc::new(Deaf)));
            }
            let mut found: Vec<&str> = hub.matching(&key).map(|(prefix, _)| prefix).collect();
            found.reverse();
            let mut wanted: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            wanted.retain(|prefix| key.starts_with(prefix));
            wanted.sort_by_key(|prefix| prefix.len());
            prop_assert_eq!(found, wanted);
        }
    }
}
