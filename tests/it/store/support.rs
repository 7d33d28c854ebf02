//! What tests of the store share: an open store, short writes, and a sink that remembers.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
use wkube::store::{
    Committed, Durability, Event, KeyValue, Precondition, Revision, Sink, Store, StoreError,
    StoreOptions, Watch, Write,
};

/// Opens a store for one test.
pub(crate) type Open<'a> = &'a (dyn Fn(StoreOptions) -> Fixture + Send + Sync);

/// An open store and what must live as long.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

impl Fixture {
    pub(crate) fn new(store: impl Store + 'static, folder: Option<TempDir>) -> Self {
        Self {
            store: Arc::new(store),
            _folder: folder,
        }
    }
}

pub(crate) fn write(key: &str, precondition: Precondition, value: Option<&str>) -> Write {
    Write {
        key: key.into(),
        precondition,
        value: value.map(|value| value.to_owned().into()),
        attachment: None,
        durability: Durability::Synced,
    }
}

/// Writes whatever the key holds.
pub(crate) async fn put(store: &dyn Store, key: &str, value: &str) -> Committed {
    let put = write(key, Precondition::None, Some(value));
    store.commit(put).await.unwrap()
}

pub(crate) async fn delete(store: &dyn Store, key: &str) -> Committed {
    let delete = write(key, Precondition::None, None);
    store.commit(delete).await.unwrap()
}

pub(crate) fn text(kv: &KeyValue) -> String {
    String::from_utf8(kv.value.to_vec()).unwrap()
}

/// `key=value` and revisions of what a range or a watch gave.
pub(crate) fn shown(kv: &KeyValue) -> (String, Revision, Revision) {
    let pair = format!("{}={}", kv.key, text(kv));
    (pair, kv.create_revision, kv.mod_revision)
}

/// A sink that remembers.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) end: Mutex<Option<StoreError>>,
    changed: Notify,
}

impl Sink for Seen {
    fn deliver(&self, events: &[Event]) {
        self.events.lock().extend_from_slice(events);
        self.changed.notify_waiters();
    }

    fn closed(&self, why: StoreError) {
        *self.end.lock() = Some(why);
        self.changed.notify_waiters();
    }
}

impl Seen {
    pub(crate) async fn watch(
        store: &dyn Store,
        prefix: &str,
        after: Revision,
    ) -> Result<(Arc<Self>, Watch), StoreError> {
        let seen = Arc::new(Self::default());
        let watch = store.watch(prefix, after, seen.clone()).await?;
        Ok((seen, watch))
    }

    /// Waits until `done` says so of what was seen.
    pub(crate) async fn until(&self, done: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if done(self) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        let count = self.events.lock().len();
        waited.unwrap_or_else(|_| panic!("not seen in a minute, only {count} events"));
    }

    /// The revisions seen, once there are `count`.
    pub(crate) async fn revisions(&self, count: usize) -> Vec<Revision> {
        self.until(|seen| seen.events.lock().len() >= count).await;
        self.events.lock().iter().map(|e| e.revision).collect()
    }
}
