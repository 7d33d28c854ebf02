//! The log of relaxed writes: a small file beside the database that they go to once a second, at
//! one block and one sync, where a transaction of redb costs ten blocks. It spares SD cards; the
//! idle cluster renews Leases and writes nothing else. Must not know when to write, or watchers.
//!
//! An entry holds the present values of the keys that changed, begins at a block of its own (so
//! that writing it cannot harm the one before), and is valid by its checksum. Entries follow each
//! other from the start of the file, each numbered by the last revision that it holds. A commit
//! of the database takes in everything that the log holds and records up to which revision it
//! did (`Disk`'s `relaxed-until`); from then on the entries up to there mean nothing, and the
//! next one is written at the start of the file again.

use crate::store::{KeyValue, Revision, StoreError};
use bytes::Bytes;
use redb::StorageBackend;
use std::sync::Arc;

/// What a disk writes at once, at most; entries begin at its multiples.
const BLOCK_BYTES: usize = 4_096;
/// The size of the file: when it is full, the database is written instead.
const LOG_BYTES: usize = 64 * BLOCK_BYTES;
/// Marks the beginning of an entry.
const MAGIC: [u8; 8] = *b"wkubelg1";
/// Magic, checksum (8), length of the body (8), last revision (8).
const HEADER_BYTES: usize = 32;

/// See the file's header.
pub(super) struct RelaxedLog {
    file: Box<dyn StorageBackend>,
    /// Where the next entry begins.
    end: usize,
    /// The revision of the last entry.
    last: Revision,
}

/// A change that an entry holds: the key, and its value or that it was deleted.
pub(super) type Logged = (Arc<str>, Option<KeyValue>);

/// What the log holds beyond the database.
#[derive(Default)]
pub(super) struct Replay {
    /// Changes in the order in which they were written.
    pub(super) changes: Vec<Logged>,
    /// The revision of the last one; 0 if there is none.
    pub(super) last: Revision,
}

impl RelaxedLog {
    /// Reads what `file` holds of revisions after `done`, which the database has, up to `mark`.
    /// A damaged end is where a crash has cut it, and ends the reading.
    pub(super) fn open(
        file: Box<dyn StorageBackend>,
        done: Revision,
        mark: Revision,
        name: &str,
    ) -> Result<(Self, Replay), StoreError> {
        let told =
            |error: std::io::Error| StoreError::Data(format!("{name} cannot be read: {error}"));
        let length = usize::try_from(file.len().map_err(told)?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(LOG_BYTES)];
        file.read(0, &mut bytes).map_err(told)?;
        let mut replay = Replay::default();
        let mut end = 0;
        while let Some((last, body)) = bytes.get(end..).and_then(entry) {
            if last <= done.max(replay.last) || last > mark {
                break;
            }
            let Some(changes) = decode(body) else {
                break;
            };
            replay.changes.extend(changes);
            replay.last = last;
            end += blocks(HEADER_BYTES + body.len());
        }
        let log = Self {
            file,
            end,
            last: replay.last,
        };
        Ok((log, replay))
    }

    /// The revision up to which the log holds what the database does not; 0 if it holds nothing.
    pub(super) fn last(&self) -> Revision {
        self.last
    }

    /// The database has all that the log holds.
    pub(super) fn reset(&mut self) {
        self.end = 0;
        self.last = 0;
    }

    /// Appends an entry of `changes` up to revision `last`, synced. False if it does not fit.
    pub(super) fn append<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a str, Option<&'a KeyValue>)>,
        last: Revision,
    ) -> std::io::Result<bool> {
        let mut bytes = vec![0; HEADER_BYTES];
        for (key, present) in changes {
            encode(&mut bytes, key, present);
            if self.end + bytes.len() > LOG_BYTES {
                return Ok(false);
            }
        }
        let body = bytes.split_off(HEADER_BYTES);
        let length = blocks(HEADER_BYTES + body.len());
        let mut whole = header(&body, last);
        whole.extend_from_slice(&body);
        whole.resize(length, 0);
        if self.file.len()? < LOG_BYTES as u64 {
            // The whole of it at once, with real blocks: an append then changes no metadata.
            self.file.set_len(LOG_BYTES as u64)?;
            self.file.write(0, &vec![0; LOG_BYTES])?;
        }
        self.file.write(self.end as u64, &whole)?;
        self.file.sync_data()?;
        self.end += length;
        self.last = last;
        Ok(true)
    }
}

/// `bytes` rounded up to blocks.
fn blocks(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

fn header(body: &[u8], last: Revision) -> Vec<u8> {
    let length = (body.len() as u64).to_le_bytes();
    let last = last.to_le_bytes();
    let mut header = Vec::with_capacity(blocks(HEADER_BYTES + body.len()));
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&checksum(&[&length, &last, body]));
    header.extend_from_slice(&length);
    header.extend_from_slice(&last);
    header
}

fn checksum(parts: &[&[u8]]) -> [u8; 8] {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// The entry that `bytes` begins with, if it is valid: its last revision and its body.
fn entry(bytes: &[u8]) -> Option<(Revision, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (last, rest) = rest.split_first_chunk::<8>()?;
    let body = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let valid = *magic == MAGIC && *sum == checksum(&[length, last, body]);
    valid.then_some((u64::from_le_bytes(*last), body))
}

/// Key and, if there is one, value: lengths first, the value's one more than it is, 0 for none.
fn encode(bytes: &mut Vec<u8>, key: &str, present: Option<&KeyValue>) {
    let length = present.map_or(0, |kv| kv.value.len() as u64 + 1);
    bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    if let Some(kv) = present {
        bytes.extend_from_slice(&kv.create_revision.to_le_bytes());
        bytes.extend_from_slice(&kv.mod_revision.to_le_bytes());
        bytes.extend_from_slice(&kv.value);
    }
}

fn decode(mut body: &[u8]) -> Option<Vec<Logged>> {
    let mut changes = Vec::new();
    while !body.is_empty() {
        let key_length = usize::try_from(number(&mut body)?).ok()?;
        let length = usize::try_from(number(&mut body)?).ok()?;
        let (key, rest) = body.split_at_checked(key_length)?;
        let key: Arc<str> = std::str::from_utf8(key).ok()?.into();
        body = rest;
        let present = match length.checked_sub(1) {
            None => None,
            Some(length) => {
                let create_revision = number(&mut body)?;
                let mod_revision = number(&mut body)?;
                let (value, rest) = body.split_at_checked(length)?;
                body = rest;
                Some(KeyValue {
                    key: key.clone(),
                    value: Bytes::copy_from_slice(value),
                    create_revision,
                    mod_revision,
                    attachment: None,
                })
            }
        };
        changes.push((key, present));
    }
    Some(changes)
}

fn number(body: &mut &[u8]) -> Option<u64> {
    let (number, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    fn kv(key: &str, value: &str, revision: Revision) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: value.to_owned().into(),
            create_revision: 1,
            mod_revision: revision,
            attachment: None,
        }
    }

    /// A backend that can be opened again.
    #[derive(Clone, Debug)]
    struct Shared(Arc<InMemoryBackend>);

    impl StorageBackend for Shared {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.0.write(offset, data)
        }
    }

    fn open(file: &Shared, done: Revision) -> (RelaxedLog, Replay) {
        RelaxedLog::open(Box::new(file.clone()), done, 1_000, "the log").unwrap()
    }

    fn shown(replay: &Replay) -> Vec<String> {
        let show = |(key, present): &Logged| match present {
            Some(kv) => format!("{key}={:?}@{}", kv.value, kv.mod_revision),
            None => format!("{key} deleted"),
        };
        replay.changes.iter().map(show).collect()
    }

    #[test]
    fn gives_back_what_the_database_does_not_have() {
        let file = Shared(Arc::new(InMemoryBackend::new()));
        let (mut log, replay) = open(&file, 0);
        assert!(replay.changes.is_empty());
        let (a, b) = (kv("/a", "1", 4), kv("/b", "", 5));
        let both = [("/a", Some(&a)), ("/b", Some(&b))];
        assert!(log.append(both.into_iter(), 5).unwrap());
        assert!(log.append([("/a", None)].into_iter(), 6).unwrap());
        let all = ["/a=b\"1\"@4", "/b=b\"\"@5", "/a deleted"];
        assert_eq!(shown(&open(&file, 0).1), all);
        assert_eq!(open(&file, 0).1.last, 6);
        // All of it is in the database: it means nothing, and is written over.
        let (mut log, replay) = open(&file, 6);
        assert!(replay.changes.is_empty());
        let c = kv("/c", "2", 8);
        assert!(log.append([("/c", Some(&c))].into_iter(), 8).unwrap());
        assert_eq!(shown(&open(&file, 6).1), ["/c=b\"2\"@8"]);
    }

    #[test]
    fn an_end_that_is_torn_is_no_entry() {
        let file = Shared(Arc::new(InMemoryBackend::new()));
        let (mut log, _) = open(&file, 0);
        let large = kv("/a", &"x".repeat(9_000), 2);
        let small = kv("/b", "y", 1);
        assert!(log.append([("/b", Some(&small))].into_iter(), 1).unwrap());
        assert!(log.append([("/a", Some(&large))].into_iter(), 2).unwrap());
        file.write(3 * BLOCK_BYTES as u64, &[0; 100]).unwrap();
        assert_eq!(open(&file, 0).1.last, 1);
        file.write(20, &[9]).unwrap();
        assert_eq!(open(&file, 0).1.last, 0);
    }

    #[test]
    fn is_full_at_its_size() {
        let file = Shared(Arc::new(InMemoryBackend::new()));
        let (mut log, _) = open(&file, 0);
        let mut revision = 0;
        loop {
            revision += 1;
            let large = kv("/a", &"x".repeat(5_000), revision);
            if !log
                .append([("/a", Some(&large))].into_iter(), revision)
                .unwrap()
            {
                break;
            }
        }
        assert_eq!(revision as usize, LOG_BYTES / (2 * BLOCK_BYTES) + 1);
        assert_eq!(file.len().unwrap(), LOG_BYTES as u64);
        assert_eq!(open(&file, 0).1.last, revision - 1);
        log.reset();
        assert_eq!(log.last(), 0);
        let small = kv("/b", "y", revision);
        assert!(
            log.append([("/b", Some(&small))].into_iter(), revision)
                .unwrap()
        );
        // What is left of the entries before is older than the one that was written over them.
        assert_eq!(open(&file, revision - 1).1.changes.len(), 1);
    }
}
