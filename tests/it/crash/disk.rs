//! A disk in memory that forgets what was not synced. Its power can be cut after any operation;
//! what survives is what was synced, and any part of what was not, in sectors.

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

#[derive(Debug)]
struct Inner {
    /// What a reader sees.
    current: Vec<u8>,
    /// What was there at the last sync.
    synced: Vec<u8>,
    /// What was done since.
    pending: Vec<Op>,
    fault: Fault,
    off: bool,
}

/// See the file's header. Cloning gives another handle to the same disk.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    pub(super) fn new() -> Self {
        Self::of(Vec::new())
    }

    fn of(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            current: image.clone(),
            synced: image,
            pending: Vec::new(),
            fault: Fault::None,
            off: false,
        })))
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.0.lock().fault = fault;
    }

    pub(super) fn cut(&self) {
        self.0.lock().off = true;
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.lock().off
    }

    /// The disk as it is found when the power is back.
    pub(super) fn survivor(&self, rng: &mut impl Rng) -> Self {
        let inner = self.0.lock();
        let mut image = inner.synced.clone();
        let kept = [0.0, 1.0, 0.5, rng.random_range(0.0..1.0)][rng.random_range(0..4)];
        for op in &inner.pending {
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
        Self::of(image)
    }

    /// The disk as another process finds it when this one was killed: nothing is lost.
    pub(super) fn as_it_is(&self) -> Self {
        Self::of(self.0.lock().current.clone())
    }
}

fn place(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Inner {
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

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let inner = self.0.lock();
        let at = offset as usize;
        let bytes = inner.current.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut inner = self.0.lock();
        inner.spend(false, 0)?;
        inner.current.resize(len as usize, 0);
        inner.pending.push(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut inner = self.0.lock();
        inner.spend(true, 0)?;
        inner.synced = inner.current.clone();
        inner.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut inner = self.0.lock();
        // A write that the cut falls into may be there in part.
        let spent = inner.spend(false, data.len());
        if spent.is_ok() || inner.fault == Fault::PowerCut(0) {
            inner.pending.push(Op::Write(offset, data.to_vec()));
            place(&mut inner.current, offset as usize, data);
        }
        spent
    }
}
