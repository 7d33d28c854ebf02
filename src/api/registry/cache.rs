//! All objects, held once, exact: fed by the store while it commits, so that what a writer was told
//! is written is what the next reader reads. A kind's objects are a persistent map; a snapshot is
//! one clone. Nothing polls. Must not write the store.

use super::changes::{Change, Changes, Objects, TooOld};
use super::encoded::{Cached, Encoded, Filter};
use super::watchers::{EventKind, Seen, Watcher, Watchers, see};
use crate::meta::Object;
use crate::resources::apiextensions::{custom_resource_definition, rows};
use crate::resources::{DefRef, ResourceDef, Scheme};
use crate::store::{Event, KeyValue, Sink, Store, StoreError, Watch};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What brings custom kinds.
static DEFINITIONS: &ResourceDef = &custom_resource_definition::DEF;

/// Where all objects are in the store.
pub(crate) const PREFIX: &str = "/registry/";

/// The objects of one stored kind.
pub(crate) struct ResourceCache {
    /// The row that owns the stored form.
    pub(crate) def: DefRef,
    state: RwLock<State>,
}

/// A kind that a definition brings, as it was when it last changed.
struct Brought {
    /// Changes with everything that makes its objects look different.
    form: Value,
    /// Whether its objects are served.
    served: bool,
}

struct State {
    objects: Objects,
    changes: Changes,
    watchers: Watchers,
    /// The last change of this kind.
    revision: u64,
    /// Another cache is in its place, or none: nothing will change here any more.
    closed: bool,
}

/// A kind's objects at one revision.
pub(crate) struct Snapshot {
    pub(crate) objects: Objects,
    pub(crate) revision: u64,
}

/// Where a watch begins.
pub(crate) enum WatchFrom {
    /// After a revision.
    Revision(u64),
    /// With all that is there now.
    State,
    /// With what happens from now on.
    Now,
}

/// The caches of all kinds.
pub(crate) struct Cache {
    kinds: RwLock<HashMap<String, Arc<ResourceCache>>>,
    /// What is served. It changes as a whole, while the store commits a definition; who reads it
    /// keeps what it was.
    scheme: RwLock<Arc<Scheme>>,
    brought: Mutex<HashMap<String, Brought>>,
    revision: AtomicU64,
    watch: Mutex<Option<Watch>>,
}

impl Cache {
    /// Reads everything from the store and follows it from there.
    pub(crate) async fn open(
        store: &dyn Store,
        scheme: Arc<Scheme>,
    ) -> Result<Arc<Self>, StoreError> {
        let range = store.range(PREFIX, None, 0).await?;
        let cache = Arc::new(Self {
            kinds: RwLock::default(),
            scheme: RwLock::new(scheme.clone()),
            brought: Mutex::default(),
            revision: AtomicU64::new(range.revision),
            watch: Mutex::new(None),
        });
        for def in scheme.iter() {
            cache.add(scheme.stored(def));
        }
        // Kinds first, then what is of them.
        let definitions = format!("{PREFIX}{}/", DEFINITIONS.storage_prefix);
        for item in &range.items {
            if let Some(name) = item.key.strip_prefix(&definitions) {
                cache.define(name, Some(&item.value), range.revision);
            }
        }
        for item in &range.items {
            cache.load(item)?;
        }
        let watch = store.watch(PREFIX, range.revision, cache.clone()).await?;
        *cache.watch.lock() = Some(watch);
        Ok(cache)
    }

    /// Makes room for a kind.
    fn add(&self, def: &DefRef) {
        if def.storage_prefix.is_empty() {
            return;
        }
        let revision = self.revision();
        self.kinds
            .write()
            .entry(def.storage_prefix.to_string())
            .or_insert_with(|| ResourceCache::new(def.clone(), Objects::new(), revision));
    }

    /// What is served now.
    pub(crate) fn scheme(&self) -> Arc<Scheme> {
        self.scheme.read().clone()
    }

    /// Follows a definition: what it brings is served from here on, in its new form, or not any more.
    /// Watches of a form that is no longer served are ended.
    fn define(&self, name: &str, stored: Option<&Bytes>, revision: u64) {
        let read = |stored: &Bytes| {
            let value = serde_json::from_slice(stored).ok()?;
            rows::rows(&Object::from_value(value)?, stored)
        };
        let defined = stored.and_then(read);
        let mut brought = self.brought.lock();
        let Some(defined) = defined else {
            brought.remove(name);
            self.publish(name, Vec::new());
            let old = self.kinds.read().get(name).cloned();
            if let Some(old) = old {
                // What a client has kept from being cleaned up is there when the kind comes again.
                self.replace_kind(name, old.def.clone(), revision);
            }
            return;
        };
        let served = !defined.served.is_empty();
        let before = brought.insert(
            name.to_owned(),
            Brought {
                form: defined.form.clone(),
                served,
            },
        );
        let same = before.as_ref().is_some_and(|b| b.form == defined.form);
        if !same {
            let def = DefRef::Custom(Arc::new(defined.stored));
            self.replace_kind(name, def, revision);
        }
        if served || before.is_some_and(|before| before.served) {
            self.publish(name, defined.served);
        }
    }

    fn publish(&self, name: &str, versions: Vec<ResourceDef>) {
        let mut scheme = Scheme::clone(&self.scheme.read());
        scheme.define(name, versions);
        *self.scheme.write() = Arc::new(scheme);
    }

    /// Puts a cache in the place of one whose objects are read in another way from now on.
    fn replace_kind(&self, name: &str, def: DefRef, revision: u64) {
        let old = self.kinds.read().get(name).cloned();
        let mut objects = Objects::new();
        if let Some(old) = &old {
            for (key, cached) in &old.state.read().objects {
                // What was read once can be read again.
                if let Ok(encoded) = Encoded::read(cached.encoded.bytes().clone(), &def) {
                    let cached = Cached {
                        revision: cached.revision,
                        encoded: Arc::new(encoded),
                    };
                    objects.insert(key.clone(), cached);
                }
            }
        }
        let kind = ResourceCache::new(def, objects, revision);
        self.kinds.write().insert(name.to_owned(), kind);
        if let Some(old) = old {
            old.close();
        }
    }

    fn load(&self, item: &KeyValue) -> Result<(), StoreError> {
        let Some((kind, key)) = self.locate(&item.key) else {
            tracing::warn!(key = %item.key, "the store holds a key of no known kind");
            return Ok(());
        };
        let damaged = |error| StoreError::Data(format!("{}: {error}", item.key));
        let encoded = Encoded::read(item.value.clone(), &kind.def).map_err(damaged)?;
        let cached = Cached {
            revision: item.mod_revision,
            encoded: Arc::new(encoded),
        };
        kind.state.write().objects.insert(key, cached);
        Ok(())
    }

    /// The kind and the key within it.
    fn locate(&self, key: &str) -> Option<(Arc<ResourceCache>, Arc<str>)> {
        let (prefix, key) = key.strip_prefix(PREFIX)?.split_once('/')?;
        let kind = self.kind(prefix)?;
        Some((kind, key.into()))
    }

    /// The cache of a stored kind.
    pub(crate) fn kind(&self, storage_prefix: &str) -> Option<Arc<ResourceCache>> {
        self.kinds.read().get(storage_prefix).cloned()
    }

    /// Everything up to this revision is in the caches.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// A kind's objects now.
    pub(crate) fn snapshot(&self, kind: &ResourceCache) -> Snapshot {
        let state = kind.state.read();
        Snapshot {
            objects: state.objects.clone(),
            revision: self.revision().max(state.revision),
        }
    }

    /// Begins a watch. The events that come first are in its queue already; the second part is the
    /// revision that they lead to.
    pub(crate) fn watch(
        &self,
        kind: &ResourceCache,
        filter: Filter,
        from: &WatchFrom,
    ) -> Result<(Arc<Watcher>, u64), TooOld> {
        let watcher = Arc::new(Watcher::new(filter.clone()));
        let mut state = kind.state.write();
        let revision = self.revision().max(state.revision);
        match from {
            WatchFrom::Now => {}
            WatchFrom::State => {
                for (key, cached) in matching(&state.objects, &filter) {
                    let _ = key;
                    watcher.preload(Seen {
                        kind: EventKind::Added,
                        object: cached.clone(),
                        revision: cached.revision,
                    });
                }
            }
            WatchFrom::Revision(after) => {
                for change in state.changes.after(*after)? {
                    if let Some(seen) = see(&filter, change) {
                        watcher.preload(seen);
                    }
                }
            }
        }
        state.watchers.add(&watcher);
        if state.closed {
            watcher.cut_off();
        }
        Ok((watcher, revision))
    }

    /// Forgets changes up to `revision`.
    pub(crate) fn forget(&self, revision: u64) {
        for kind in self.kinds.read().values() {
            kind.state.write().changes.forget(revision);
        }
    }

    /// Follows the store no longer.
    pub(crate) fn close(&self) {
        drop(self.watch.lock().take());
    }

    /// For metrics: row, objects, watchers.
    pub(crate) fn counts(&self) -> Vec<(DefRef, usize, usize)> {
        let kinds = self.kinds.read();
        kinds
            .values()
            .map(|kind| {
                let state = kind.state.read();
                (kind.def.clone(), state.objects.len(), state.watchers.len())
            })
            .collect()
    }
}

impl ResourceCache {
    fn new(def: DefRef, objects: Objects, revision: u64) -> Arc<Self> {
        Arc::new(Self {
            def,
            state: RwLock::new(State {
                objects,
                changes: Changes::new(revision),
                watchers: Watchers::default(),
                revision,
                closed: false,
            }),
        })
    }

    /// Ends its watches: nothing will change here any more.
    fn close(&self) {
        let mut state = self.state.write();
        state.closed = true;
        state.watchers.cut_off();
    }

    /// One object now.
    pub(crate) fn get(&self, key: &str) -> Option<Cached> {
        self.state.read().objects.get(key).cloned()
    }

    /// The objects as they were at a revision.
    pub(crate) fn at(&self, revision: u64) -> Result<Objects, TooOld> {
        let state = self.state.read();
        state.changes.undo_to(revision, &state.objects)
    }

    /// The last change of the kind.
    pub(crate) fn revision(&self) -> u64 {
        self.state.read().revision
    }

    /// What has changed after a revision, oldest first, and the revision that it leads to.
    pub(crate) fn changes_after(&self, revision: u64) -> Result<(Vec<Arc<Change>>, u64), TooOld> {
        let state = self.state.read();
        let changes = state.changes.after(revision)?.cloned().collect();
        Ok((changes, state.revision))
    }

    /// All objects, and the last change of the kind.
    pub(crate) fn all(&self) -> (Objects, u64) {
        let state = self.state.read();
        (state.objects.clone(), state.revision)
    }

    fn apply(&self, event: &Event, key: Arc<str>) {
        let mut state = self.state.write();
        let current = event.current.as_ref().and_then(|now| self.cached(now));
        let previous = match &current {
            Some(now) => state.objects.insert(key.clone(), now.clone()),
            None => state.objects.remove(&key),
        };
        state.revision = event.revision;
        let change = Arc::new(Change {
            revision: event.revision,
            key,
            current,
            previous,
        });
        state.changes.push(change.clone());
        state.watchers.push(&change);
    }

    fn cached(&self, item: &KeyValue) -> Option<Cached> {
        let attached = item.attachment.clone();
        let encoded = match attached.and_then(|any| any.downcast::<Encoded>().ok()) {
            Some(encoded) => encoded,
            None => match Encoded::read(item.value.clone(), &self.def) {
                Ok(encoded) => Arc::new(encoded),
                Err(error) => {
                    tracing::error!(key = %item.key, %error, "a stored value cannot be read");
                    return None;
                }
            },
        };
        Some(Cached {
            revision: item.mod_revision,
            encoded,
        })
    }
}

/// The objects that a filter selects, in the order of their keys.
pub(crate) fn matching<'a>(
    objects: &'a Objects,
    filter: &'a Filter,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Cached)> {
    let first: Arc<str> = filter.prefix.as_str().into();
    objects
        .range(first..)
        .take_while(|(key, _)| key.starts_with(&filter.prefix))
        .filter(|(key, cached)| filter.is_plain() || filter.matches(key, &cached.encoded))
}

impl Sink for Cache {
    fn deliver(&self, events: &[Event]) {
        for event in events {
            let definitions = event.key.strip_prefix(PREFIX);
            let definition = definitions.and_then(|key| key.split_once('/'));
            if let Some((prefix, name)) = definition
                && prefix == DEFINITIONS.storage_prefix
            {
                // Before anyone is told of it.
                let now = event.current.as_ref().map(|now| &now.value);
                self.define(name, now, event.revision);
            }
            if let Some((kind, key)) = self.locate(&event.key) {
                kind.apply(event, key);
            }
        }
        if let Some(last) = events.last() {
            self.revision.store(last.revision, Ordering::Release);
        }
    }

    fn closed(&self, why: StoreError) {
        tracing::info!(error = %why, "the store's watch has ended");
        for kind in self.kinds.read().values() {
            kind.state.read().watchers.cut_off();
        }
    }
}
