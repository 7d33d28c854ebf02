//! An informer: a cache of a resource's objects that follows the server, and a call at each
//! change. Lists once, then watches; lists anew when the server no longer has the history, and
//! then tells what changed meanwhile, deletions included. Objects are decoded straight into the
//! reader's own type, which may be a small view: what a room does not read, it does not hold.
//! Kubernetes: client-go `tools/cache` (reflector, shared informer).

use crate::client::request::{Client, ClientError, Query, with_query};
use crate::client::watch::Frames;
use crate::meta::{ApiError, GroupVersionResource, ObjectKey, Reason};
use crate::stdx::{Backoff, Clock, Shutdown};
use futures::StreamExt;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::RwLock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The first wait before a broken watch is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
/// The longest wait.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// How long the server is asked to keep a watch open, in seconds.
const WATCH_SECONDS: &str = "1800";

/// The few fields of metadata that a cache needs; the start of a view of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    pub name: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Unique id.
    pub uid: String,
    /// Revision.
    pub resource_version: String,
}

/// What can be kept in an informer's cache.
pub trait HasMeta {
    /// Namespace and name.
    fn key(&self) -> ObjectKey;
    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str;
}

impl<T: k8s_openapi::Metadata<Ty = ObjectMeta>> HasMeta for T {
    fn key(&self) -> ObjectKey {
        let meta = self.metadata();
        ObjectKey::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    }

    fn resource_version(&self) -> &str {
        self.metadata()
            .resource_version
            .as_deref()
            .unwrap_or_default()
    }
}

/// One change of the cache, told after the cache has it.
#[derive(Debug)]
pub enum Change<T> {
    /// The object is new, or has changed from what stands second.
    Applied(Arc<T>, Option<Arc<T>>),
    /// The object is gone; this is its last known state.
    Deleted(Arc<T>),
    /// The first list is in the cache.
    Synced,
}

/// How far an informer has come: the revision up to which its cache and those it tells have seen
/// every change. Who has written at a revision waits here to read what it wrote.
#[derive(Clone, Debug)]
pub struct Progress(Arc<watch::Sender<u64>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Progress {
    /// Waits until everything up to `revision` has been seen; 1 is the first list.
    pub async fn reached(&self, revision: u64) {
        // The sender is held here, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|seen| *seen >= revision).await;
    }

    /// How far it has come.
    pub fn now(&self) -> u64 {
        *self.0.borrow()
    }

    fn seen(&self, revision: &str) {
        if let Ok(revision) = revision.parse() {
            self.0.send_replace(revision);
        }
    }
}

/// What to follow.
#[derive(Clone, Debug)]
pub struct InformerConfig {
    /// The resource.
    pub resource: GroupVersionResource,
    /// Empty for all namespaces.
    pub namespace: String,
    /// A field selector, may be empty.
    pub field_selector: String,
    /// A label selector, may be empty.
    pub label_selector: String,
    /// Where it is told how far the informer has come.
    pub progress: Progress,
}

impl InformerConfig {
    /// Everything of `resource`.
    pub fn all(resource: GroupVersionResource) -> Self {
        Self {
            resource,
            namespace: String::new(),
            field_selector: String::new(),
            label_selector: String::new(),
            progress: Progress::default(),
        }
    }
}

/// A cache that follows the server. Cheap to clone.
pub struct Informer<T> {
    cache: Arc<RwLock<HashMap<ObjectKey, Arc<T>>>>,
    synced: watch::Receiver<bool>,
}

impl<T> Clone for Informer<T> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            synced: self.synced.clone(),
        }
    }
}

impl<T: HasMeta + DeserializeOwned + Send + Sync + 'static> Informer<T> {
    /// Starts to follow, until `shutdown`. `on_change` is called for each change, in order, never
    /// concurrently; it must be quick (put a key into a queue).
    pub fn start(
        client: Client,
        config: InformerConfig,
        clock: Clock,
        shutdown: &Shutdown,
        on_change: impl FnMut(Change<T>) + Send + 'static,
    ) -> Self {
        let cache = Arc::new(RwLock::new(HashMap::new()));
        let (synced_sender, synced) = watch::channel(false);
        let follower = Follower {
            client,
            config,
            clock,
            cache: cache.clone(),
            synced: synced_sender,
            on_change: Box::new(on_change),
        };
        shutdown.spawn_until_stopped(follower.run());
        Self { cache, synced }
    }

    /// Waits until the first list is in the cache; false if the informer stopped before.
    pub async fn synced(&self) -> bool {
        self.synced.clone().wait_for(|synced| *synced).await.is_ok()
    }

    /// The object as the cache has it.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.cache.read().get(key).cloned()
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.cache.read().values().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.cache.read().len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.cache.read().is_empty()
    }
}

struct Follower<T> {
    client: Client,
    config: InformerConfig,
    clock: Clock,
    cache: Arc<RwLock<HashMap<ObjectKey, Arc<T>>>>,
    synced: watch::Sender<bool>,
    on_change: Box<dyn FnMut(Change<T>) + Send>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// How a watch ended.
enum End {
    /// As asked, or the connection broke: go on from where it was.
    Resume,
    /// The history is gone: list anew.
    Relist,
}

impl<T: HasMeta + DeserializeOwned + Send + Sync + 'static> Follower<T> {
    async fn run(mut self) {
        let mut backoff = Backoff::new(
            RETRY_DELAY_MIN,
            RETRY_DELAY_MAX,
            RETRY_DELAY_MAX.saturating_mul(2),
        );
        let mut revision: Option<String> = None;
        loop {
            let from = match revision.take() {
                Some(from) => from,
                None => match self.list().await {
                    Ok(from) => from,
                    Err(error) => {
                        self.complain(&error);
                        let delay = backoff.failed(self.clock.instant());
                        self.clock.sleep(delay).await;
                        continue;
                    }
                },
            };
            let mut at = from.clone();
            match self.watch(&mut at).await {
                Ok(End::Resume) => {
                    if at == from {
                        // Nothing came: a server that ends watches at once must not be hammered.
                        let delay = backoff.failed(self.clock.instant());
                        self.clock.sleep(delay).await;
                    } else {
                        backoff.reset();
                    }
                    revision = Some(at);
                }
                Ok(End::Relist) => {
                    let delay = backoff.failed(self.clock.instant());
                    self.clock.sleep(delay).await;
                }
                Err(error) => {
                    self.complain(&error);
                    let delay = backoff.failed(self.clock.instant());
                    self.clock.sleep(delay).await;
                    revision = match error.reason() {
                        None => Some(at),
                        Some(_) => None,
                    };
                }
            }
        }
    }

    fn complain(&self, error: &ClientError) {
        let resource = self.config.resource.group_resource();
        tracing::warn!(%resource, %error, "watch interrupted, trying again");
    }

    fn selectors(&self) -> Query {
        Query::new()
            .with("fieldSelector", &self.config.field_selector)
            .with("labelSelector", &self.config.label_selector)
    }

    /// Lists, puts the cache right, returns the list's revision.
    async fn list(&mut self) -> Result<String, ClientError> {
        let list = self
            .client
            .list::<T>(
                &self.config.resource,
                &self.config.namespace,
                &self.selectors(),
            )
            .await?;
        let mut gone: HashSet<ObjectKey> = self.cache.read().keys().cloned().collect();
        for object in list.items {
            gone.remove(&object.key());
            self.applied(object);
        }
        for key in gone {
            self.deleted(&key);
        }
        self.config.progress.seen(&list.metadata.resource_version);
        if !*self.synced.borrow() {
            (self.on_change)(Change::Synced);
            self.synced.send_replace(true);
        }
        Ok(list.metadata.resource_version)
    }

    async fn watch(&mut self, revision: &mut String) -> Result<End, ClientError> {
        let query = self
            .selectors()
            .with("watch", "true")
            .with("allowWatchBookmarks", "true")
            .with("timeoutSeconds", WATCH_SECONDS)
            .with("resourceVersion", revision);
        let path = Client::path(&self.config.resource, &self.config.namespace, "", "");
        let path = with_query(path, &query);
        let response = self
            .client
            .stream(Method::GET, &path, None, "application/json")
            .await;
        let mut body = match response {
            Ok(response) => response.into_body(),
            Err(ClientError::Api(error)) if is_gone(&error) => return Ok(End::Relist),
            Err(error) => return Err(error),
        };
        let mut frames = Frames::default();
        while let Some(part) = body.next().await {
            let Ok(part) = part else {
                return Ok(End::Resume);
            };
            frames.push(part)?;
            while let Some(line) = frames.next() {
                if let Some(end) = self.frame(&line, revision)? {
                    return Ok(end);
                }
            }
        }
        Ok(End::Resume)
    }

    fn frame(&mut self, line: &[u8], revision: &mut String) -> Result<Option<End>, ClientError> {
        let unreadable = |error: serde_json::Error| ClientError::Decode(error.to_string());
        let frame: Frame<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        match frame.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let object: T = serde_json::from_str(frame.object.get()).map_err(unreadable)?;
                object.resource_version().clone_into(revision);
                if frame.kind == "DELETED" {
                    self.deleted(&object.key());
                } else {
                    self.applied(object);
                }
                self.config.progress.seen(revision);
                Ok(None)
            }
            "BOOKMARK" => {
                #[derive(Deserialize)]
                struct Bookmark {
                    metadata: Meta,
                }
                let mark: Bookmark =
                    serde_json::from_str(frame.object.get()).map_err(unreadable)?;
                *revision = mark.metadata.resource_version;
                self.config.progress.seen(revision);
                Ok(None)
            }
            _ => {
                let status: Value = serde_json::from_str(frame.object.get()).map_err(unreadable)?;
                let code = status.get("code").and_then(Value::as_u64).unwrap_or(500);
                let code = u16::try_from(code).unwrap_or(500);
                let error = ApiError::from_status(code, &status);
                if is_gone(&error) {
                    Ok(Some(End::Relist))
                } else {
                    Err(ClientError::Api(error))
                }
            }
        }
    }

    fn applied(&mut self, object: T) {
        let object = Arc::new(object);
        let before = self.cache.write().insert(object.key(), object.clone());
        if before
            .as_ref()
            .is_some_and(|b| b.resource_version() == object.resource_version())
        {
            return;
        }
        (self.on_change)(Change::Applied(object, before));
    }

    fn deleted(&mut self, key: &ObjectKey) {
        let before = self.cache.write().remove(key);
        if let Some(before) = before {
            (self.on_change)(Change::Deleted(before));
        }
    }
}

fn is_gone(error: &ApiError) -> bool {
    matches!(error.reason, Reason::Expired | Reason::Gone)
}
