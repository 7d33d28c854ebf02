//! What readers and watchers see of a store that lives in this process: the index, the window of
//! history and the hub, kept in step. Must not know how a change was made durable; a change that
//! comes here is.
//!
//! Two locks, taken in this order: `stream` (history and hub; held while a commit is delivered)
//! and `index` (held for moments, so that reads hardly wait).

use super::history::History;
use super::index::Index;
use super::watch_hub::{Listener, WatchHub};
use super::{Event, Revision, Sink, StoreError, StoreOptions, StoreStats, Watch};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::sync::Arc;

/// Past changes read at once while a watch catches up without holding back writers.
const CATCH_UP_EVENTS: usize = 512;

/// The part of a store that is in memory.
pub(super) struct View {
    stream: Mutex<Stream>,
    index: RwLock<Index>,
    /// Watches that were dropped while the stream was busy.
    dropped: Mutex<Vec<(Arc<str>, Arc<Listener>)>>,
}

/// The order of changes: whoever holds it decides what comes next.
pub(super) struct Stream {
    history: History,
    hub: WatchHub,
    closed: bool,
}

impl View {
    /// A view of what `index` holds, with no history before it.
    pub(super) fn new(index: Index, options: &StoreOptions) -> Arc<Self> {
        let history = History::new(
            index.revision(),
            options.history_events_max,
            options.history_bytes_max,
        );
        Arc::new(Self {
            stream: Mutex::new(Stream {
                history,
                hub: WatchHub::default(),
                closed: false,
            }),
            index: RwLock::new(index),
            dropped: Mutex::default(),
        })
    }

    /// All keys as of now.
    pub(super) fn snapshot(&self) -> Index {
        self.index.read().clone()
    }

    /// Reads from the present index without copying it; `read` must be quick.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read())
    }

    /// What is in memory, in figures.
    pub(super) fn stats(&self) -> StoreStats {
        let watchers = self.stream.lock().hub.len() as u64;
        self.read(|index| StoreStats {
            revision: index.revision(),
            keys: index.len() as u64,
            value_bytes: index.value_bytes(),
            watchers,
            ..StoreStats::default()
        })
    }

    /// Holds the order of changes still.
    pub(super) fn lock(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock()
    }

    /// Makes changes visible to readers, then to watchers.
    pub(super) fn publish(&self, stream: &mut Stream, events: Vec<Event>) {
        for (prefix, listener) in self.dropped.lock().drain(..) {
            stream.hub.remove(&prefix, &listener);
        }
        {
            let mut index = self.index.write();
            for event in &events {
                index.apply(event);
            }
        }
        stream.hub.deliver(&events);
        for event in events {
            stream.history.push(event);
        }
    }

    /// See `Store::watch`.
    pub(super) fn watch(
        self: &Arc<Self>,
        prefix: &str,
        after: Revision,
        sink: Arc<dyn Sink>,
    ) -> Result<Watch, StoreError> {
        let listener = Listener::new(sink);
        let mut after = after;
        let mut begun = false;
        loop {
            let mut stream = self.stream.lock();
            if let Err(error) = self.check_start(&stream, after) {
                drop(stream);
                if !begun {
                    return Err(error);
                }
                // Part was delivered already, so the end of the stream is told there as well.
                listener.close(error.clone());
                return Err(error);
            }
            let (events, last) = past(&stream.history, prefix, after);
            let Some(last) = last else {
                // What is left is short: hand it over while nothing can come in between.
                listener.deliver(&events);
                let prefix: Arc<str> = prefix.into();
                stream.hub.add(&prefix, listener.clone());
                drop(stream);
                return Ok(Watch(Box::new(Registration {
                    view: self.clone(),
                    prefix,
                    listener,
                })));
            };
            drop(stream);
            listener.deliver(&events);
            after = last;
            begun = true;
        }
    }

    /// See `Store::compact`.
    pub(super) fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let mut stream = self.stream.lock();
        if stream.closed {
            return Err(StoreError::Closed);
        }
        let current = self.read(Index::revision);
        if revision > current {
            return Err(StoreError::Future {
                asked: revision,
                current,
            });
        }
        stream.history.compact(revision);
        Ok(())
    }

    /// Ends every watch; later watches fail. Reads of the last state go on.
    pub(super) fn close(&self, stream: &mut Stream) {
        stream.closed = true;
        stream.hub.close(&StoreError::Closed);
    }

    fn check_start(&self, stream: &Stream, after: Revision) -> Result<(), StoreError> {
        let current = self.read(Index::revision);
        let oldest = stream.history.floor();
        if stream.closed {
            Err(StoreError::Closed)
        } else if after > current {
            Err(StoreError::Future {
                asked: after,
                current,
            })
        } else if after < oldest {
            Err(StoreError::Compacted {
                asked: after,
                oldest,
            })
        } else {
            Ok(())
        }
    }
}

impl Stream {
    /// Whether the store was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// The next past changes under `prefix`; the revision to go on after if there may be many more.
fn past(history: &History, prefix: &str, after: Revision) -> (Vec<Event>, Option<Revision>) {
    let mut seen = 0;
    let mut last = after;
    let mut events = Vec::new();
    for event in history.after(after, CATCH_UP_EVENTS) {
        seen += 1;
        last = event.revision;
        if event.key.starts_with(prefix) {
            events.push(event.clone());
        }
    }
    (events, (seen == CATCH_UP_EVENTS).then_some(last))
}

/// Takes its listener off the hub when dropped. Never waits: a sink may drop it from `deliver`.
struct Registration {
    view: Arc<View>,
    prefix: Arc<str>,
    listener: Arc<Listener>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.listener.mark_dropped();
        match self.view.stream.try_lock() {
            Some(mut stream) => stream.hub.remove(&self.prefix, &self.listener),
            None => self
                .view
                .dropped
                .lock()
                .push((self.prefix.clone(), self.listener.clone())),
        }
    }
}
