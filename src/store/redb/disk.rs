//! The database file: its tables, its format version, opening it with errors that say what to
//! do, and the one transaction that a batch becomes. Must not know watchers or queues.
//!
//! Only present values are on disk; history is not. Two tables: `values` holds each key's
//! revisions and bytes, `meta` the format, the high-water mark of revisions, and up to which
//! revision the log of relaxed writes has been taken in.

use crate::store::{KeyValue, Revision, StoreError};
use bytes::Bytes;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError, TableDefinition, TableHandle,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The layout of tables and values that this program writes. A newer one is refused.
const FORMAT: u64 = 1;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");
const META_FORMAT: &str = "format";
/// No revision beyond this one has been given out.
const META_MARK: &str = "revision-mark";
/// What the log of relaxed writes holds up to this revision is in the database.
const META_RELAXED_UNTIL: &str = "relaxed-until";
/// A stored value begins with its creating and its last revision, little-endian.
const REVISIONS_BYTES: usize = 16;

/// An open database.
pub(super) struct Disk {
    db: Database,
    marks: Marks,
}

/// What `meta` holds besides the format.
#[derive(Clone, Copy, Default)]
struct Marks {
    revision: Revision,
    relaxed_until: Revision,
}

/// What a commit records besides values; `None` leaves it as it is.
#[derive(Clone, Copy, Default)]
pub(super) struct Record {
    /// A new high-water mark.
    pub(super) mark: Option<Revision>,
    /// The log has been taken in up to here.
    pub(super) relaxed_until: Option<Revision>,
}

/// What was in the database when it was opened.
pub(super) struct Loaded {
    pub(super) disk: Disk,
    pub(super) values: Vec<KeyValue>,
}

/// The present value of a key that is to be written; `None` deletes it.
pub(super) type Change<'a> = (&'a str, Option<&'a KeyValue>);

impl Disk {
    /// Opens or initialises the database in `backend`; `name` is what errors call it.
    pub(super) fn open(
        backend: impl StorageBackend,
        cache_bytes: usize,
        name: &str,
    ) -> Result<Loaded, StoreError> {
        // redb promises an error for most damage, but not that it never panics over some.
        catch_unwind(AssertUnwindSafe(|| {
            Self::open_inner(backend, cache_bytes, name)
        }))
        .unwrap_or_else(|_| Err(damaged(name, "its structure cannot be read")))
    }

    fn open_inner(
        backend: impl StorageBackend,
        cache_bytes: usize,
        name: &str,
    ) -> Result<Loaded, StoreError> {
        let db = Database::builder()
            .set_cache_size(cache_bytes)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| open_error(name, error))?;
        let marks = match read_meta(&db, name)? {
            Some(marks) => marks,
            None => initialise(&db).map_err(|error| unreadable(name, &error))?,
        };
        let values = load(&db, marks.revision, name)?;
        Ok(Loaded {
            disk: Self { db, marks },
            values,
        })
    }

    /// No revision beyond this one has been given out, now or before a crash.
    pub(super) fn mark(&self) -> Revision {
        self.marks.revision
    }

    /// What the log of relaxed writes holds up to this revision is in the database.
    pub(super) fn relaxed_until(&self) -> Revision {
        self.marks.relaxed_until
    }

    /// Writes `changes` and `record` in one transaction, and returns when they are synced. After an error the state on disk is unknown until the
    /// next start, and nothing more may be written.
    pub(super) fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = Change<'a>>,
        record: Record,
    ) -> Result<(), String> {
        let written = catch_unwind(AssertUnwindSafe(|| self.commit_inner(changes, record)));
        match written {
            Ok(Ok(())) => {
                let marks = &mut self.marks;
                marks.revision = record.mark.unwrap_or(marks.revision);
                marks.relaxed_until = record.relaxed_until.unwrap_or(marks.relaxed_until);
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the database file cannot be worked with any more".to_owned()),
        }
    }

    fn commit_inner<'a>(
        &self,
        changes: impl Iterator<Item = Change<'a>>,
        record: Record,
    ) -> Result<(), redb::Error> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        {
            let mut values = txn.open_table(VALUES)?;
            for (key, present) in changes {
                let Some(kv) = present else {
                    values.remove(key)?;
                    continue;
                };
                let mut bytes = Vec::with_capacity(REVISIONS_BYTES + kv.value.len());
                bytes.extend_from_slice(&kv.create_revision.to_le_bytes());
                bytes.extend_from_slice(&kv.mod_revision.to_le_bytes());
                bytes.extend_from_slice(&kv.value);
                values.insert(key, bytes.as_slice())?;
            }
        }
        for (name, number) in [
            (META_MARK, record.mark),
            (META_RELAXED_UNTIL, record.relaxed_until),
        ] {
            if let Some(number) = number {
                txn.open_table(META)?.insert(name, number)?;
            }
        }
        Ok(txn.commit()?)
    }
}

/// Checks the format and gives the marks; `None` if the database is empty, thus new.
fn read_meta(db: &Database, name: &str) -> Result<Option<Marks>, StoreError> {
    let read = || -> Result<_, redb::Error> {
        let txn = db.begin_read()?;
        let tables: Vec<String> = txn.list_tables()?.map(|t| t.name().to_owned()).collect();
        if !tables.iter().any(|table| table == META.name()) {
            return Ok((tables.len(), None, None));
        }
        let meta = txn.open_table(META)?;
        let format = meta.get(META_FORMAT)?.map(|value| value.value());
        let relaxed_until = meta
            .get(META_RELAXED_UNTIL)?
            .map_or(0, |value| value.value());
        let marks = meta.get(META_MARK)?.map(|value| Marks {
            revision: value.value(),
            relaxed_until,
        });
        Ok((tables.len(), format, marks))
    };
    match read().map_err(|error| unreadable(name, &error))? {
        (0, _, _) => Ok(None),
        (_, Some(format), _) if format > FORMAT => Err(StoreError::Data(format!(
            "{name} was written by a newer wkube (store format {format}; this one reads up to \
             {FORMAT}); use that one, or another data directory"
        ))),
        (_, Some(FORMAT), Some(marks)) => Ok(Some(marks)),
        _ => Err(StoreError::Data(format!(
            "{name} is a redb database, but not a store of wkube; it was left as it is"
        ))),
    }
}

fn initialise(db: &Database) -> Result<Marks, redb::Error> {
    let txn = db.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT)?;
        meta.insert(META_MARK, 0)?;
        txn.open_table(VALUES)?;
    }
    txn.commit()?;
    Ok(Marks::default())
}

fn load(db: &Database, mark: Revision, name: &str) -> Result<Vec<KeyValue>, StoreError> {
    let read = || -> Result<_, redb::Error> {
        let txn = db.begin_read()?;
        let table = txn.open_table(VALUES)?;
        let mut values = Vec::new();
        for entry in table.iter()? {
            let (key, bytes) = entry?;
            values.push(decode(key.value(), bytes.value()));
        }
        Ok(values)
    };
    read()
        .map_err(|error| unreadable(name, &error))?
        .into_iter()
        .map(|kv| kv.filter(|kv| kv.mod_revision <= mark && kv.create_revision <= kv.mod_revision))
        .collect::<Option<_>>()
        .ok_or_else(|| damaged(name, "a value in it has impossible revisions"))
}

fn decode(key: &str, bytes: &[u8]) -> Option<KeyValue> {
    let (create, rest) = bytes.split_first_chunk()?;
    let (modified, value) = rest.split_first_chunk()?;
    Some(KeyValue {
        key: key.into(),
        value: Bytes::copy_from_slice(value),
        create_revision: u64::from_le_bytes(*create),
        mod_revision: u64::from_le_bytes(*modified),
        attachment: None,
    })
}

fn open_error(name: &str, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Data(format!("{name} is in use by another process"))
        }
        DatabaseError::UpgradeRequired(version) => StoreError::Data(format!(
            "{name} is in an old database format ({version}) that this wkube does not read; it \
             was left as it is"
        )),
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData
                && error.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            StoreError::Data(format!("{name} cannot be opened: {error}"))
        }
        error => damaged(name, &error.to_string()),
    }
}

fn unreadable(name: &str, error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => StoreError::Data(format!("{name} cannot be read: {error}")),
        error => damaged(name, &error.to_string()),
    }
}

fn damaged(name: &str, why: &str) -> StoreError {
    let message = format!(
        "{name} is damaged or not a store of wkube: {why}. Nothing was deleted: put back a copy, \
         or move the file away to begin with an empty cluster"
    );
    StoreError::Data(message)
}

/// `Arc` keys sort the changes of a batch, which is how they lie on disk.
pub(super) type Dirty = std::collections::BTreeSet<Arc<str>>;
