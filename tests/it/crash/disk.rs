//! Files in memory on a disk that forgets what was not synced. Its power can be cut after any
//! operation; what survives is what was synced, and any part of what was not, in sectors.

use parking_lot::Mutex;
use rand::Rng;
use redb::StorageBackend;
use std::io::{Error, ErrorKind};
use std::sync::Arc;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// What goes wrong, counted in operations or syncs from the moment it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The power is gone after so many writes and syncs.
    PowerCut(usize),
    /// After so many syncs one fails; the next would claim to work.
    SyncFails(usize),
    /// There is no more room once so many bytes have been written.
    Full(usize),
}

/// What the files of a machine share.
#[derive(Debug)]
struct Power {
    fault: Fault,
    off: bool,
}

/// The two files of a store.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) database: DiskFile,
    pub(super) log: DiskFile,
    power: Arc<Mutex<Power>>,
}

#[derive(Debug)]
struct Content {
    /// What a reader sees.
    current: Vec<u8>,
    /// What was there at the last sync.
    synced: Vec<u8>,
    /// What was done since.
    pending: Vec<Op>,
}

/// A file. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(super) struct DiskFile {
    content: Arc<Mutex<Content>>,
    power: Arc<Mutex<Power>>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::of(Vec::new(), Vec::new())
    }

    fn of(database: Vec<u8>, log: Vec<u8>) -> Self {
        let power = Arc::new(Mutex::new(Power {
            fault: Fault::None,
            off: false,
        }));
        let file = |image: Vec<u8>| DiskFile {
            content: Arc::new(Mutex::new(Content {
                current: image.clone(),
                synced: image,
                pending: Vec::new(),
            })),
            power: power.clone(),
        };
        Self {
            database: file(database),
            log: file(log),
            power,
        }
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.power.lock().fault = fault;
    }

    pub(super) fn cut(&self) {
        self.power.lock().off = true;
    }

    pub(super) fn is_off(&self) -> bool {
        self.power.lock().off
    }

    /// The disk as it is found when the power is back.
    pub(super) fn survivor(&self, rng: &mut impl Rng) -> Self {
        let database = self.database.survivor(rng);
        Self::of(database, self.log.survivor(rng))
    }

    /// The disk as another process finds it when this one was killed: nothing is lost.
    pub(super) fn as_it_is(&self) -> Self {
        let current = |file: &DiskFile| file.content.lock().current.clone();
        Self::of(current(&self.database), current(&self.log))
    }
}

impl DiskFile {
    fn survivor(&self, rng: &mut impl Rng) -> Vec<u8> {
        let content = self.content.lock();
        let mut image = content.synced.clone();
        let kept = [0.0, 1.0, 0.5, rng.random_range(0.0..1.0)][rng.random_range(0..4)];
        for op in &content.pending {
            match op {
                Op::SetLen(length) => {
                    if rng.random_bool(kept) {
                        image.resize(*length as usize, 0);
                    }
                }
                Op::Write(at, bytes) => {
                    for (n, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if rng.random_bool(kept) {
                            place(&mut image, *at as usize + n * SECTOR_BYTES, sector);
                        }
                    }
                }
            }
        }
        image
    }
}

fn place(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Power {
    /// Counts an operation; fails if it is one too many.
    fn spend(&mut self, sync: bool, bytes: usize) -> Result<(), Error> {
        if self.off {
            return Err(Error::other("the power is off"));
        }
        match &mut self.fault {
            Fault::PowerCut(left) => match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    self.off = true;
                    return Err(Error::other("the power is off"));
                }
            },
            Fault::SyncFails(left) if sync => match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    self.fault = Fault::None;
                    return Err(Error::other("the disk could not sync"));
                }
            },
            Fault::Full(left) => match left.checked_sub(bytes) {
                Some(less) => *left = less,
                None => return Err(ErrorKind::StorageFull.into()),
            },
            _ => {}
        }
        Ok(())
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.content.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let content = self.content.lock();
        let at = offset as usize;
        let bytes = content.current.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.power.lock().spend(false, 0)?;
        let mut content = self.content.lock();
        content.current.resize(len as usize, 0);
        content.pending.push(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.power.lock().spend(true, 0)?;
        let mut content = self.content.lock();
        content.synced = content.current.clone();
        content.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut power = self.power.lock();
        let was_on = !power.off;
        let spent = power.spend(false, data.len());
        // A write that the cut falls into may be there in part.
        if spent.is_ok() || (was_on && power.off) {
            let mut content = self.content.lock();
            content.pending.push(Op::Write(offset, data.to_vec()));
            place(&mut content.current, offset as usize, data);
        }
        spent
    }
}
