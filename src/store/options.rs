//! The limits of a store, each with a name and a default. Must not know which backend reads them.

use std::time::Duration;

/// Watch history: at most so many changes.
pub const HISTORY_EVENTS_MAX: usize = 10_000;
/// Watch history: at most so many bytes, estimated (keys, values before and after, attachments).
pub const HISTORY_BYTES_MAX: usize = 32 << 20;
/// Writes that may wait for the disk; one more is `StoreError::Busy`.
pub const QUEUE_WRITES_MAX: usize = 4_096;
/// Bytes of keys and values that may wait for the disk; more is `StoreError::Busy`.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Writes that share one synced commit.
pub const BATCH_WRITES_MAX: usize = 1_024;
/// The longest that a relaxed write stays off the disk.
pub const RELAXED_DELAY_MAX: Duration = Duration::from_millis(900);
/// How far ahead the high-water mark of revisions is written: revisions lost to a crash at most.
pub const REVISION_STEP: u64 = 10_000;
/// Page cache of the database file. The values live in memory anyway, so it need not be large.
pub const CACHE_BYTES: usize = 4 << 20;

/// Limits of a store. `StoreOptions::default()` is what `wkube serve` runs with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// See [`HISTORY_EVENTS_MAX`].
    pub history_events_max: usize,
    /// See [`HISTORY_BYTES_MAX`].
    pub history_bytes_max: usize,
    /// See [`QUEUE_WRITES_MAX`].
    pub queue_writes_max: usize,
    /// See [`QUEUE_BYTES_MAX`].
    pub queue_bytes_max: usize,
    /// See [`BATCH_WRITES_MAX`].
    pub batch_writes_max: usize,
    /// See [`RELAXED_DELAY_MAX`].
    pub relaxed_delay_max: Duration,
    /// See [`REVISION_STEP`]; at least 1.
    pub revision_step: u64,
    /// See [`CACHE_BYTES`].
    pub cache_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            history_events_max: HISTORY_EVENTS_MAX,
            history_bytes_max: HISTORY_BYTES_MAX,
            queue_writes_max: QUEUE_WRITES_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            batch_writes_max: BATCH_WRITES_MAX,
            relaxed_delay_max: RELAXED_DELAY_MAX,
            revision_step: REVISION_STEP,
            cache_bytes: CACHE_BYTES,
        }
    }
}
