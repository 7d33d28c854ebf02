//! Reads through, hashes and counts, and stops an archive that unpacks to more than it may.

use crate::stdx::Digest;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read};

/// A reader with a limit.
pub(in crate::oci) struct Meter<R> {
    inner: R,
    hasher: Sha256,
    read: u64,
    limit: Box<dyn Fn() -> u64>,
}

/// The limit that was exceeded, in bytes.
#[derive(Debug)]
pub(super) struct Exceeded(pub(super) u64);

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "larger than {} bytes", self.0)
    }
}

impl std::error::Error for Exceeded {}

impl<R> Meter<R> {
    /// Reads at most what `limit` answers; it is asked again with each read.
    pub(in crate::oci) fn new(inner: R, limit: impl Fn() -> u64 + 'static) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            read: 0,
            limit: Box::new(limit),
        }
    }

    pub(super) fn read_so_far(&self) -> u64 {
        self.read
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::from_hasher(self.hasher.clone())
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        let limit = (self.limit)();
        if self.read > limit {
            return Err(io::Error::other(Exceeded(limit)));
        }
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
