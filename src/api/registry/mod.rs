//! Objects in and out of the store: the only code of wkube that writes it. Reads come from the
//! cache; writes carry the revision they rest on. Must not know HTTP, users or verbs.

mod cache;
mod changes;
mod encoded;
mod watchers;

pub(crate) use cache::{Cache, ResourceCache, WatchFrom, matching};
pub(crate) use changes::{Objects, TooOld};
pub(crate) use encoded::{Cached, Encoded, Filter};
pub(crate) use watchers::{EventKind, Next, Seen, Watcher};

use crate::meta::{ApiError, Object, Reason};
use crate::resources::{ResourceDef, Scheme, wire};
use crate::store::{Durability, Precondition, Store, StoreError, Write};
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of one stored object. Kubernetes: etcd's `--max-request-bytes`, 1.5 MiB.
const OBJECT_BYTES_MAX: usize = 3 << 19;

/// The store, and the cache over it, which knows the rows.
pub(crate) struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cache: Arc<Cache>,
}

/// Why a write was not done.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The object is not at the revision that the write rests on: read again, or give up.
    Changed,
    /// Anything else.
    Api(ApiError),
}

impl From<ApiError> for WriteError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl Registry {
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        scheme: Arc<Scheme>,
    ) -> Result<Self, StoreError> {
        let cache = Cache::open(&*store, scheme).await?;
        Ok(Self { store, cache })
    }

    /// What is served now; it may change while a request runs, which keeps what it has.
    pub(crate) fn scheme(&self) -> Arc<Scheme> {
        self.cache.scheme()
    }

    /// The cache of what a row serves.
    pub(crate) fn kind(&self, def: &ResourceDef) -> Result<Arc<ResourceCache>, ApiError> {
        self.cache
            .kind(&def.storage_prefix)
            .ok_or_else(|| ApiError::internal(format!("{} is not stored", def.plural)))
    }

    /// One object as `def` serves it, if it exists.
    pub(crate) fn find(
        &self,
        def: &ResourceDef,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(Object, u64)>, ApiError> {
        let Some(cached) = self.find_cached(def, namespace, name)? else {
            return Ok(None);
        };
        Ok(Some((served(def, &cached)?, cached.revision)))
    }

    /// One object as it is kept.
    pub(crate) fn find_cached(
        &self,
        def: &ResourceDef,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Cached>, ApiError> {
        Ok(self.kind(def)?.get(&key(def, namespace, name)))
    }

    /// Like [`Registry::find`]; what does not exist is a 404.
    pub(crate) fn get(
        &self,
        def: &ResourceDef,
        namespace: &str,
        name: &str,
    ) -> Result<(Object, u64), ApiError> {
        self.find(def, namespace, name)?
            .ok_or_else(|| ApiError::not_found(&def.group_resource(), name))
    }

    /// Makes an object that must not exist yet.
    pub(crate) async fn insert(
        &self,
        def: &ResourceDef,
        object: &Object,
    ) -> Result<Cached, WriteError> {
        self.write(def, &object.key(), Precondition::Absent, Some(object))
            .await
    }

    /// Replaces an object whose last write was `revision`.
    pub(crate) async fn replace(
        &self,
        def: &ResourceDef,
        object: &Object,
        revision: u64,
    ) -> Result<Cached, WriteError> {
        let precondition = Precondition::Revision(revision);
        self.write(def, &object.key(), precondition, Some(object))
            .await
    }

    /// Removes an object whose last write was `revision`; answers the revision of the removal.
    pub(crate) async fn remove(
        &self,
        def: &ResourceDef,
        object: &Object,
        revision: u64,
    ) -> Result<u64, WriteError> {
        let key = storage_key(def, object.namespace(), object.name());
        let write = Write {
            key: key.into(),
            precondition: Precondition::Revision(revision),
            value: None,
            attachment: None,
            durability: durability(def),
        };
        let committed = self.store.commit(write).await.map_err(write_error)?;
        Ok(committed.revision)
    }

    async fn write(
        &self,
        def: &ResourceDef,
        key: &crate::meta::ObjectKey,
        precondition: Precondition,
        object: Option<&Object>,
    ) -> Result<Cached, WriteError> {
        let kind = self.kind(def)?;
        let mut stored = object.cloned().unwrap_or_default();
        if let Some(conversion) = &def.conversion {
            conversion.to_stored(&mut stored);
        }
        let encoded = Encoded::of(&stored, &kind.def).map_err(ApiError::internal)?;
        if encoded.bytes().len() > OBJECT_BYTES_MAX && !fits(&stored) {
            return Err(too_large().into());
        }
        let encoded = Arc::new(encoded);
        let write = Write {
            key: storage_key(def, &key.namespace, &key.name).into(),
            precondition,
            value: Some(encoded.bytes().clone()),
            attachment: Some(encoded.clone()),
            durability: durability(def),
        };
        let committed = self.store.commit(write).await.map_err(write_error)?;
        Ok(Cached {
            revision: committed.revision,
            encoded,
        })
    }
}

/// Whether what is long as JSON is short enough as Kubernetes stores it: built-in kinds in protobuf.
fn fits(object: &Object) -> bool {
    let value = Value::Object(object.fields().clone());
    let packed = wire::table().encode(&value);
    packed.is_ok_and(|packed| packed.len() <= OBJECT_BYTES_MAX)
}

/// What etcd says, and with it Kubernetes.
fn too_large() -> ApiError {
    ApiError::new(Reason::Unknown, "etcdserver: request is too large")
}

fn durability(def: &ResourceDef) -> Durability {
    if def.relaxed_durability {
        Durability::Relaxed
    } else {
        Durability::Synced
    }
}

/// An object of the cache in the form that `def` serves.
pub(crate) fn served(def: &ResourceDef, cached: &Cached) -> Result<Object, ApiError> {
    let mut object = cached.object().map_err(ApiError::internal)?;
    if let Some(conversion) = &def.conversion {
        conversion.from_stored(&mut object);
    }
    Ok(object)
}

/// The key within a kind.
pub(crate) fn key(def: &ResourceDef, namespace: &str, name: &str) -> String {
    if def.is_namespaced() {
        format!("{namespace}/{name}")
    } else {
        name.to_owned()
    }
}

fn storage_key(def: &ResourceDef, namespace: &str, name: &str) -> String {
    let key = key(def, namespace, name);
    format!("{}{}/{key}", cache::PREFIX, def.storage_prefix)
}

fn write_error(error: StoreError) -> WriteError {
    match error {
        StoreError::Precondition { .. } => WriteError::Changed,
        other => WriteError::Api(store_error(&other)),
    }
}

/// What a client is told when the store does not do it.
pub(crate) fn store_error(error: &StoreError) -> ApiError {
    match error {
        StoreError::Busy { .. } => {
            let mut refused = ApiError::new(Reason::TooManyRequests, error.to_string());
            refused.details = json!({ "retryAfterSeconds": 1 });
            refused
        }
        StoreError::ReadOnly(_) | StoreError::Closed => {
            ApiError::new(Reason::ServiceUnavailable, error.to_string())
        }
        other => ApiError::internal(other),
    }
}
