//! Revisioned keys and bytes with watch: the contract, and its backends. Knows keys and bytes
//! only; must never know objects. Only `api/` writes here.
//!
//! The contract, in words:
//! - There is one counter, the revision. A committed write gets the next one; one write, one
//!   revision. A revision that anyone has been told is never given out again, also after a crash.
//! - A write is durable before it is visible to readers and watchers, and visible before
//!   `commit` returns. A `Relaxed` write may be lost within the last second; nothing else may.
//! - Watchers see each committed change after their start revision once, in order, whole.
//! - History is bounded: a start that is too old is `StoreError::Compacted`.
//! - When the disk is full or a sync fails, the write fails and the store is read-only from then.
//!
//! The backends that live in this process share `plan` (what a write does), `index` (present
//! values), `history` (past changes), `watch_hub` (fan-out) and `view` (those three in step).

mod history;
mod index;
mod memory;
mod open;
mod options;
mod plan;
mod redb;
mod view;
mod watch_hub;

pub use memory::MemoryStore;
pub use open::{StoreUrl, open};
pub use options::*;
pub use redb::RedbStore;

use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// The store's counter; also Kubernetes' `resourceVersion`.
pub type Revision = u64;

/// What a writer hands along with the bytes, given back to watchers of the same process so that
/// they need not decode. Lost at a restart and never written.
pub type Attachment = Arc<dyn Any + Send + Sync>;

/// A key with its value as of some revision.
#[derive(Clone)]
pub struct KeyValue {
    /// The key, `/registry/<resource>/<namespace>/<name>`.
    pub key: Arc<str>,
    /// The bytes.
    pub value: Bytes,
    /// The revision of the write that made the key.
    pub create_revision: Revision,
    /// The revision of the last write.
    pub mod_revision: Revision,
    /// What the writer attached, if it was this process.
    pub attachment: Option<Attachment>,
}

/// What must hold for a write to happen, checked in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The key must not exist.
    Absent,
    /// The key's last write must be this one.
    Revision(Revision),
    /// Nothing.
    None,
}

/// How durable a write must be before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On disk, synced.
    Synced,
    /// Written with the next synced commit, at the latest after a second: for Leases and Events.
    Relaxed,
}

/// One write.
#[derive(Clone)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// What must hold.
    pub precondition: Precondition,
    /// The new bytes, or `None` to delete. Deleting a key that does not exist fails with
    /// `Precondition { actual: 0 }`, whatever the precondition: it would be no change.
    pub value: Option<Bytes>,
    /// Handed to watchers with the event; kept with the value if there is one.
    pub attachment: Option<Attachment>,
    /// When to answer.
    pub durability: Durability,
}

/// The answer to a write.
#[derive(Clone)]
pub struct Committed {
    /// The write's revision.
    pub revision: Revision,
    /// What the key held before.
    pub previous: Option<KeyValue>,
}

/// One change, as watchers see it.
#[derive(Clone)]
pub struct Event {
    /// The revision of the change.
    pub revision: Revision,
    /// The key.
    pub key: Arc<str>,
    /// What it holds now; `None` when it was deleted.
    pub current: Option<KeyValue>,
    /// What it held before; `None` when it was made.
    pub previous: Option<KeyValue>,
    /// What the writer attached to this write: also for a deletion, where `current` is `None`.
    pub attachment: Option<Attachment>,
}

/// Receives changes. Called in order of revision, never concurrently, with everything of one
/// commit in one call, before the commit is answered (backends in this process) or as they come
/// (others). Must be quick and must not call the store.
pub trait Sink: Send + Sync {
    /// Takes the changes of one commit.
    fn deliver(&self, events: &[Event]);
    /// The stream has ended: the start was compacted away, or the store was closed.
    fn closed(&self, why: StoreError);
}

/// A running watch; ends when dropped. Dropping never waits, so a sink may do it from within
/// `deliver`; a delivery that is under way in another thread may still end after the drop.
pub struct Watch(#[allow(dead_code, reason = "held for its drop")] pub Box<dyn Any + Send + Sync>);

/// A range read at one revision.
pub struct Range {
    /// The revision that was read.
    pub revision: Revision,
    /// The keys in order.
    pub items: Vec<KeyValue>,
    /// Whether keys after the last one exist in the range.
    pub more: bool,
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The precondition did not hold; the revision is the key's present one, 0 if absent.
    #[error("the key is at revision {actual}, not as the write expected")]
    Precondition {
        /// The key's present revision, 0 if it does not exist.
        actual: Revision,
    },
    /// The asked revision is no longer kept.
    #[error("revision {asked} has been compacted; the oldest kept is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest revision a watch or a read may start at.
        oldest: Revision,
    },
    /// The asked revision has not been given out yet.
    #[error("revision {asked} is ahead of the store, which is at {current}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// Where the store is.
        current: Revision,
    },
    /// The disk refused; the store is read-only until the next start.
    #[error("the store is read-only since a write to disk failed: {0}")]
    ReadOnly(String),
    /// The queue of writes is full.
    #[error("the store's write queue is full ({limit} writes)")]
    Busy {
        /// The limit that was met.
        limit: usize,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The data cannot be opened or read.
    #[error("{0}")]
    Data(String),
}

/// What a store has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// The revision of the last commit.
    pub revision: Revision,
    /// Keys that exist.
    pub keys: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Watches that run.
    pub watchers: u64,
    /// Writes that wait to be committed.
    pub queued: u64,
    /// Writes that were committed.
    pub writes: u64,
    /// Commits; each holds the writes that came together.
    pub commits: u64,
    /// Times that a file was synced to the disk.
    pub syncs: u64,
    /// Bytes that were written to files.
    pub written_bytes: u64,
}

/// A backend. See the room's header for what every backend promises.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes. Answered after the write is as durable as asked and visible. If the returned
    /// future is dropped, the write may happen all the same.
    async fn commit(&self, write: Write) -> Result<Committed, StoreError>;

    /// Reads a key as of now.
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError>;

    /// Reads keys that begin with `prefix` and come after `after` (exclusive), as of now,
    /// at most `limit` (0 = all).
    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Range, StoreError>;

    /// The revision of the last commit.
    fn revision(&self) -> Revision;

    /// Delivers every change of keys that begin with `prefix` and whose revision is greater than
    /// `after` to `sink`, from now on, past ones first. The past ones that the store still has
    /// are delivered before this returns. `Compacted` if `after` is older than what is kept,
    /// `Future` if it has not been given out; if that is found only after some changes were
    /// delivered (the watcher is slower than the writers), `sink` is told by `closed` as well.
    async fn watch(
        &self,
        prefix: &str,
        after: Revision,
        sink: Arc<dyn Sink>,
    ) -> Result<Watch, StoreError>;

    /// Forgets history up to `revision` (inclusive); a watch may still start after it.
    /// Running watches go on. `Future` if `revision` has not been given out.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// Why the store is read-only, if it is.
    fn read_only(&self) -> Option<String>;

    /// What the store has done since it was opened, and what it holds.
    fn stats(&self) -> StoreStats;

    /// Writes out what is queued and stops. Later calls answer `Closed`.
    async fn close(&self);
}
