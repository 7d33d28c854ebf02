//! What a node remembers of its pods across a crash: one append-only journal per node, committed
//! in groups (all that waits is one write and one sync), written anew when most of it is old. The
//! last entry of a pod counts. An entry that a crash tore is cut off with all behind it.
//!
//! Without a folder nothing is kept, and every commit succeeds at once. Must not know what the
//! records mean.

use crate::kubelet::state::PodState;
use crate::stdx::{Digest, Shutdown, create_private_dir, write_atomic};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// A journal smaller than this is not written anew.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// It is written anew when it is so many times what is alive in it.
const COMPACT_RATIO: u64 = 4;
/// Hex digits of the checksum before each entry.
const CHECK_DIGITS: usize = 16;

/// One pod's entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PodRecord {
    /// `metadata.uid`.
    pub(super) uid: String,
    /// Namespace.
    pub(super) namespace: String,
    /// Name.
    pub(super) name: String,
    /// What is known; `None` when the pod is forgotten.
    pub(super) state: Option<PodState>,
}

#[derive(Default)]
struct Pending {
    /// Entries to append.
    bytes: Vec<u8>,
    /// The number of the last entry given in.
    given: u64,
    /// The last entry of each pod.
    alive: HashMap<String, Vec<u8>>,
    alive_bytes: u64,
    /// The file's tail is not known to be good: write all of it anew.
    rewrite: bool,
}

/// How far the journal is: entries up to `committed` are durable, those up to `tried` that are not
/// have failed.
#[derive(Clone, Debug, Default)]
struct Progress {
    committed: u64,
    tried: u64,
    error: String,
}

struct Inner {
    pending: Mutex<Pending>,
    wake: Notify,
    progress: watch::Sender<Progress>,
}

/// The journal of one node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Records {
    inner: Option<Arc<Inner>>,
}

/// A commit that can be waited for.
pub(super) struct Commit {
    number: u64,
    progress: Option<watch::Receiver<Progress>>,
}

impl Commit {
    /// Waits until the entry is durable.
    pub(super) async fn done(mut self) -> io::Result<()> {
        let Some(progress) = &mut self.progress else {
            return Ok(());
        };
        let number = self.number;
        let reached = progress.wait_for(|p| p.tried >= number).await;
        match reached {
            Ok(progress) if progress.committed >= number => Ok(()),
            Ok(progress) => Err(io::Error::other(progress.error.clone())),
            Err(_) => Err(io::Error::other("the node is stopping")),
        }
    }
}

impl Records {
    /// Opens the journal in `folder`, and returns what it holds. `None` keeps nothing.
    pub(super) fn open(
        folder: Option<&Path>,
        shutdown: &Shutdown,
    ) -> io::Result<(Self, HashMap<String, PodRecord>)> {
        let Some(folder) = folder else {
            return Ok((Self { inner: None }, HashMap::new()));
        };
        create_private_dir(folder)?;
        let path = folder.join("pods.journal");
        let (alive, records) = read(&path)?;
        let alive_bytes = alive.values().map(|entry| entry.len() as u64).sum();
        let mut file = JournalFile::new(path);
        // What is old or torn is dropped now, so that a long life does not make a long start.
        file.rewrite(&joined(&alive))?;
        let inner = Arc::new(Inner {
            pending: Mutex::new(Pending {
                alive,
                alive_bytes,
                ..Pending::default()
            }),
            wake: Notify::new(),
            progress: watch::Sender::default(),
        });
        shutdown.spawn(commit(inner.clone(), file, shutdown.clone()));
        let inner = Some(inner);
        Ok((Self { inner }, records))
    }

    /// Gives in an entry; it replaces what the pod had.
    pub(super) fn put(&self, record: &PodRecord) -> io::Result<Commit> {
        let Some(inner) = &self.inner else {
            return Ok(Commit {
                number: 0,
                progress: None,
            });
        };
        let line = framed(&serde_json::to_vec(record)?);
        let mut pending = inner.pending.lock();
        pending.bytes.extend_from_slice(&line);
        pending.given += 1;
        let number = pending.given;
        let length = line.len() as u64;
        let old = if record.state.is_some() {
            pending.alive_bytes += length;
            pending.alive.insert(record.uid.clone(), line)
        } else {
            pending.alive.remove(&record.uid)
        };
        let old = old.map_or(0, |line| line.len() as u64);
        pending.alive_bytes = pending.alive_bytes.saturating_sub(old);
        drop(pending);
        inner.wake.notify_one();
        Ok(Commit {
            number,
            progress: Some(inner.progress.subscribe()),
        })
    }
}

fn framed(json: &[u8]) -> Vec<u8> {
    let check = Digest::of(json).hex();
    let mut line = Vec::with_capacity(json.len() + CHECK_DIGITS + 2);
    line.extend_from_slice(check.get(..CHECK_DIGITS).unwrap_or(&check).as_bytes());
    line.push(b' ');
    line.extend_from_slice(json);
    line.push(b'\n');
    line
}

fn joined(alive: &HashMap<String, Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    for line in alive.values() {
        all.extend_from_slice(line);
    }
    all
}

type Alive = HashMap<String, Vec<u8>>;

/// Reads a journal up to its first entry that is not whole.
fn read(path: &Path) -> io::Result<(Alive, HashMap<String, PodRecord>)> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut alive = HashMap::new();
    let mut records = HashMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(record) = unframed(line) else { break };
        if record.state.is_some() {
            alive.insert(record.uid.clone(), line.to_vec());
            records.insert(record.uid.clone(), record);
        } else {
            alive.remove(&record.uid);
            records.remove(&record.uid);
        }
    }
    Ok((alive, records))
}

fn unframed(line: &[u8]) -> Option<PodRecord> {
    let line = line.strip_suffix(b"\n")?;
    let (check, json) = line.split_at_checked(CHECK_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let wanted = Digest::of(json).hex();
    if wanted.as_bytes().get(..CHECK_DIGITS)? != check {
        return None;
    }
    serde_json::from_slice(json).ok()
}

struct JournalFile {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl JournalFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            length: 0,
        }
    }

    fn rewrite(&mut self, all: &[u8]) -> io::Result<()> {
        write_atomic(&self.path, all, 0o600)?;
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600);
        self.file = Some(options.open(&self.path)?);
        self.length = all.len() as u64;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut();
        let file = file.ok_or_else(|| io::Error::other("the journal is not open"))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Commits what is given in, in groups, until the node stops and nothing waits.
async fn commit(inner: Arc<Inner>, mut file: JournalFile, shutdown: Shutdown) {
    loop {
        let (bytes, given, all) = {
            let mut pending = inner.pending.lock();
            let bytes = std::mem::take(&mut pending.bytes);
            let grown = file.length + bytes.len() as u64;
            let old = grown > COMPACT_BYTES_MIN
                && grown > pending.alive_bytes.saturating_mul(COMPACT_RATIO);
            let all = (pending.rewrite || old).then(|| joined(&pending.alive));
            pending.rewrite = false;
            (bytes, pending.given, all)
        };
        if bytes.is_empty() && all.is_none() {
            if shutdown.is_stopped() {
                return;
            }
            tokio::select! {
                () = inner.wake.notified() => {}
                () = shutdown.stopped() => {}
            }
            continue;
        }
        let work = tokio::task::spawn_blocking(move || {
            let result = match all {
                Some(all) => file.rewrite(&all),
                None => file.append(&bytes),
            };
            (file, result)
        });
        let Ok((back, result)) = work.await else {
            return;
        };
        file = back;
        inner.progress.send_modify(|progress| {
            progress.tried = given;
            match &result {
                Ok(()) => progress.committed = given,
                Err(error) => progress.error = format!("the node's journal: {error}"),
            }
        });
        if let Err(error) = result {
            tracing::error!(%error, path = %file.path.display(), "pods cannot be recorded");
            inner.pending.lock().rewrite = true;
            // Tried again with the next entry, not in a circle.
            tokio::select! {
                () = inner.wake.notified() => {}
                () = shutdown.stopped() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn record(uid: &str, alive: bool) -> PodRecord {
        PodRecord {
            uid: uid.to_owned(),
            namespace: "default".to_owned(),
            name: uid.to_owned(),
            state: alive.then(|| PodState::new(Timestamp::UNIX_EPOCH)),
        }
    }

    #[tokio::test]
    async fn what_was_committed_is_there_again_and_a_torn_tail_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let shutdown = Shutdown::new();
        let (records, none) = Records::open(Some(folder.path()), &shutdown).unwrap();
        assert!(none.is_empty());
        for uid in ["a", "b", "c"] {
            records
                .put(&record(uid, true))
                .unwrap()
                .done()
                .await
                .unwrap();
        }
        let gone = records.put(&record("b", false)).unwrap();
        gone.done().await.unwrap();
        shutdown.stop();
        shutdown.drained().await;
        let path = folder.path().join("pods.journal");
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend_from_slice(&framed(b"{}")[..9]);
        std::fs::write(&path, torn).unwrap();
        let (_, again) = Records::open(Some(folder.path()), &Shutdown::new()).unwrap();
        let mut uids: Vec<&String> = again.keys().collect();
        uids.sort();
        assert_eq!(uids, ["a", "c"]);
    }
}
