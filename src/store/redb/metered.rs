//! Files that count what is done to them, for the figures. Must not know what is in them.

use redb::{BackendError, StorageBackend};
use std::io::Error;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was done to the files of one store.
#[derive(Debug, Default)]
pub(super) struct Meter {
    syncs: AtomicU64,
    written_bytes: AtomicU64,
}

impl Meter {
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Relaxed)
    }

    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Relaxed)
    }
}

/// A file that counts.
#[derive(Debug)]
pub(super) struct Metered<B> {
    pub(super) inner: B,
    pub(super) meter: Arc<Meter>,
}

impl<B: StorageBackend> StorageBackend for Metered<B> {
    fn len(&self) -> Result<u64, Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.meter.syncs.fetch_add(1, Relaxed);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.meter
            .written_bytes
            .fetch_add(data.len() as u64, Relaxed);
        self.inner.write(offset, data)
    }

    fn close(&self) -> Result<(), Error> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}
