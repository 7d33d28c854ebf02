//! The default backend: redb on disk, everything that is read in memory. Must promise what the
//! contract says across `kill -9` and a power cut. `docs/decisions/0002-store.md` has the why.
//!
//! `disk` is the database file, `relaxed_log` the one beside it, `queue` what waits to be
//! written, `writer` the one thread that writes.

mod disk;
mod metered;
mod queue;
mod relaxed_log;
mod writer;

use super::index::Index;
use super::view::View;
use super::{
    Committed, KeyValue, Range, Revision, Sink, Store, StoreError, StoreOptions, StoreStats, Watch,
    Write,
};
use crate::stdx::create_private_dir;
use async_trait::async_trait;
use disk::{Disk, Loaded, Record};
use metered::{Meter, Metered};
use parking_lot::RwLock;
use queue::{Queue, Request};
use redb::StorageBackend;
use redb::backends::FileBackend;
use relaxed_log::RelaxedLog;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{oneshot, watch};
use writer::{Counts, Shared, Writer};

/// The file in the data directory.
const FILE_NAME: &str = "store.redb";
/// The file while it is made: it gets its name when it is whole.
const NEW_FILE_NAME: &str = "store.redb.new";
/// The log of relaxed writes beside it.
const LOG_NAME: &str = "store.relaxed";

/// A store on disk. Call [`Store::close`] when done; a store that is only dropped is closed a
/// moment later.
pub struct RedbStore {
    shared: Arc<Shared>,
    meter: Arc<Meter>,
}

impl RedbStore {
    /// Opens the store in the data directory `folder`, or makes it (the folder 0700, the file
    /// 0600). Fails with [`StoreError::Data`] if another process uses the directory, if the file
    /// is damaged or something else, or was written by a newer version; nothing is changed then.
    pub fn open(folder: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let told = |error: std::io::Error| {
            StoreError::Data(format!(
                "the data directory {} cannot be used: {error}",
                folder.display()
            ))
        };
        create_private_dir(folder).map_err(told)?;
        let lock = lock_folder(folder)?;
        let path = folder.join(FILE_NAME);
        let log_path = folder.join(LOG_NAME);
        let log_name = format!("{}", log_path.display());
        let made = !path.try_exists().map_err(told)?;
        let log = || {
            let file = open_file(&log_path, !log_path.try_exists()?)?;
            FileBackend::new(file).map_err(std::io::Error::other)
        };
        let log = log().map_err(told)?;
        let meter = Arc::new(Meter::default());
        let loaded = if made {
            make_database(folder, options, &meter)?
        } else {
            open_database(&path, options, &meter)?
        };
        // Also for the name of the log, if that is new.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(told)?;
        let log = Box::new(Metered {
            inner: log,
            meter: meter.clone(),
        });
        Self::start(loaded, (log, &log_name), Some(lock), (options, meter))
    }

    /// Opens or makes a store on something else than files, for tests of what a disk can do:
    /// `backend` is the database, `log` the file of relaxed writes.
    pub fn open_backend(
        backend: impl StorageBackend,
        log: impl StorageBackend,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let meter = Arc::new(Meter::default());
        let backend = Metered {
            inner: backend,
            meter: meter.clone(),
        };
        let log = Box::new(Metered {
            inner: log,
            meter: meter.clone(),
        });
        let loaded = Disk::open(backend, options.cache_bytes, "the storage backend")?;
        Self::start(loaded, (log, "the log"), None, (options, meter))
    }

    fn start(
        loaded: Loaded,
        (log, log_name): (Box<dyn StorageBackend>, &str),
        lock: Option<File>,
        (options, meter): (&StoreOptions, Arc<Meter>),
    ) -> Result<Self, StoreError> {
        let Loaded { mut disk, values } = loaded;
        let mut index = Index::new(values.into_iter(), disk.mark());
        let (mut log, replay) = RelaxedLog::open(log, disk.relaxed_until(), disk.mark(), log_name)?;
        if replay.last > 0 {
            // What the last process had shown and not yet committed, when it was killed.
            for (key, present) in replay.changes.iter().cloned() {
                index.set(key, present);
            }
            let changes = replay.changes.iter();
            let record = Record {
                mark: None,
                relaxed_until: Some(replay.last),
            };
            disk.commit(changes.map(|(key, _)| (&**key, index.get(key))), record)
                .map_err(|why| StoreError::Data(format!("{log_name}: {why}")))?;
            log.reset();
        }
        let shared = Arc::new(Shared {
            view: View::new(index, options),
            queue: Queue::new(options),
            read_only: RwLock::default(),
            ended: watch::Sender::new(false),
            counts: Counts::default(),
        });
        let writer = Writer::new(shared.clone(), disk, log, options);
        let ending = shared.clone();
        std::thread::Builder::new()
            .name("wkube-store".to_owned())
            .spawn(move || {
                let ran = catch_unwind(AssertUnwindSafe(|| writer.run()));
                drop(lock);
                ending.end(ran.is_ok());
            })
            .map_err(|error| StoreError::Data(format!("no thread for the store: {error}")))?;
        Ok(Self { shared, meter })
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.shared.queue.is_closed() {
            return Err(StoreError::Closed);
        }
        Ok(())
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, write: Write) -> Result<Committed, StoreError> {
        if let Some(why) = self.read_only() {
            return Err(StoreError::ReadOnly(why));
        }
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Request { write, answer })?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        self.check_open()?;
        Ok(self.shared.view.read(|index| index.get(key).cloned()))
    }

    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Range, StoreError> {
        self.check_open()?;
        Ok(self.shared.view.snapshot().range(prefix, after, limit))
    }

    fn revision(&self) -> Revision {
        self.shared.view.read(Index::revision)
    }

    async fn watch(
        &self,
        prefix: &str,
        after: Revision,
        sink: Arc<dyn Sink>,
    ) -> Result<Watch, StoreError> {
        self.check_open()?;
        self.shared.view.watch(prefix, after, sink)
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.shared.view.compact(revision)
    }

    fn read_only(&self) -> Option<String> {
        self.shared.read_only.read().clone()
    }

    fn stats(&self) -> StoreStats {
        let counts = &self.shared.counts;
        StoreStats {
            queued: self.shared.queue.len() as u64,
            writes: counts.writes.load(Relaxed),
            commits: counts.commits.load(Relaxed),
            syncs: self.meter.syncs(),
            written_bytes: self.meter.written_bytes(),
            ..self.shared.view.stats()
        }
    }

    async fn close(&self) {
        self.shared.queue.close();
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as this store does.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Makes an empty database so that a crash leaves either a whole file or none. It is renamed
/// while it is open: closing and opening it again would cost a dozen syncs.
fn make_database(
    folder: &Path,
    options: &StoreOptions,
    meter: &Arc<Meter>,
) -> Result<Loaded, StoreError> {
    let beside = folder.join(NEW_FILE_NAME);
    let name = format!("{}", beside.display());
    let told = |error: std::io::Error| StoreError::Data(format!("{name} cannot be made: {error}"));
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let file = open_file(&beside, true).map_err(told)?;
    let loaded = open_in(file, options, &name, meter)?;
    std::fs::rename(&beside, folder.join(FILE_NAME)).map_err(told)?;
    Ok(loaded)
}

fn open_database(
    path: &Path,
    options: &StoreOptions,
    meter: &Arc<Meter>,
) -> Result<Loaded, StoreError> {
    let name = format!("{}", path.display());
    let told =
        |error: std::io::Error| StoreError::Data(format!("{name} cannot be opened: {error}"));
    let file = open_file(path, false).map_err(told)?;
    if file.metadata().map_err(told)?.len() == 0 {
        // redb would take it for a new one, and the cluster would silently be empty.
        return Err(StoreError::Data(format!(
            "{name} is damaged: it is empty. Put back a copy, or move it away to begin with an \
             empty cluster"
        )));
    }
    open_in(file, options, &name, meter)
}

fn open_in(
    file: File,
    options: &StoreOptions,
    name: &str,
    meter: &Arc<Meter>,
) -> Result<Loaded, StoreError> {
    let backend = FileBackend::new(file)
        .map_err(|error| StoreError::Data(format!("{name} cannot be opened: {error}")))?;
    let backend = Metered {
        inner: backend,
        meter: meter.clone(),
    };
    Disk::open(backend, options.cache_bytes, name)
}

fn open_file(path: &Path, create: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(create)
        .mode(0o600)
        .open(path)
}

/// Keeps other processes out of the directory, until the file that is returned is closed: also
/// when this process is killed.
fn lock_folder(folder: &Path) -> Result<File, StoreError> {
    let told = |why: &dyn std::fmt::Display| {
        StoreError::Data(format!("the data directory {} {why}", folder.display()))
    };
    let file = File::open(folder).map_err(|error| told(&format!("cannot be opened: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(told(&"is in use by another wkube")),
        // A file system without locks on folders; redb's own lock of the file still holds.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "the data directory cannot be locked");
            Ok(file)
        }
    }
}
