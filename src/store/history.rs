//! The window of past changes that a watch may begin in, bounded by count and bytes. Must not
//! know who reads it.

use super::{Event, KeyValue, Revision};
use std::collections::VecDeque;

/// What an event weighs besides its bytes: its own size, and the entry in the ring.
const EVENT_BYTES: usize = 256;
/// A decoded object is taken to weigh so many times its encoded bytes.
const ATTACHMENT_FACTOR: usize = 4;

/// The newest changes in order of revision.
pub(super) struct History {
    events: VecDeque<Event>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
    /// Changes up to here (inclusive) are forgotten.
    floor: Revision,
}

impl History {
    /// An empty window that begins after `floor`.
    pub(super) fn new(floor: Revision, events_max: usize, bytes_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            events_max,
            bytes_max,
            floor,
        }
    }

    /// The oldest revision that a watch may start after.
    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    /// Adds the newest change and forgets the oldest ones beyond the bounds.
    pub(super) fn push(&mut self, event: Event) {
        self.bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > self.events_max || self.bytes > self.bytes_max {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    /// Forgets changes up to `revision` (inclusive).
    pub(super) fn compact(&mut self, revision: Revision) {
        while self.events.front().is_some_and(|e| e.revision <= revision) {
            self.drop_oldest();
        }
        self.floor = self.floor.max(revision);
    }

    /// At most `limit` changes after `revision`, in order.
    pub(super) fn after(&self, revision: Revision, limit: usize) -> impl Iterator<Item = &Event> {
        let start = self.events.partition_point(|e| e.revision <= revision);
        self.events.range(start..).take(limit)
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(weight(&event));
        self.floor = event.revision;
        true
    }
}

fn weight(event: &Event) -> usize {
    let side = |kv: &Option<KeyValue>| {
        kv.as_ref().map_or(0, |kv| {
            let factor = if kv.attachment.is_some() {
                ATTACHMENT_FACTOR
            } else {
                1
            };
            kv.value.len() * factor
        })
    };
    EVENT_BYTES + event.key.len() + side(&event.current) + side(&event.previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: Revision) -> Event {
        Event {
            revision,
            key: "k".into(),
            current: None,
            previous: None,
            attachment: None,
        }
    }

    #[test]
    fn is_bounded_by_count_and_by_bytes() {
        let mut by_count = History::new(0, 3, usize::MAX);
        let mut by_bytes = History::new(0, usize::MAX, 3 * (EVENT_BYTES + 1));
        for history in [&mut by_count, &mut by_bytes] {
            for revision in 1..=10 {
                history.push(event(revision));
            }
            assert_eq!(history.floor(), 7);
            let kept: Vec<_> = history.after(0, 99).map(|e| e.revision).collect();
            assert_eq!(kept, [8, 9, 10]);
            history.compact(9);
            assert_eq!(history.after(7, 99).count(), 1);
            history.compact(12);
            assert_eq!((history.floor(), history.bytes), (12, 0));
        }
    }
}
