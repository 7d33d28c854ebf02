//! Content under its digest. What is written is hashed on its way; what is read is checked once
//! in each process, so that a damaged disk is noticed before the content is used.

use super::{Disk, Work};
use crate::oci::error::ImageError;
use crate::stdx::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes read at once while hashing.
const BUFFER_BYTES: usize = 128 * 1024;

/// Content that is whole and synced, but not yet where it is looked for.
#[derive(Clone, Debug)]
pub(in crate::oci) struct Spooled {
    /// Where it lies.
    pub(in crate::oci) path: PathBuf,
    /// Its digest.
    pub(in crate::oci) digest: Digest,
    /// Its length in bytes.
    pub(in crate::oci) size: u64,
}

/// Content on its way in: hashed, counted, limited.
#[derive(Debug)]
pub(in crate::oci) struct BlobWriter {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    written: u64,
    limit: u64,
}

impl Disk {
    /// Where content of this digest lies, or would.
    pub(in crate::oci) fn blob_path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.root()?.join("blobs/sha256").join(digest.hex()))
    }

    /// Whether there is content of this digest, checked.
    pub(in crate::oci) fn has_blob(&self, digest: &Digest) -> bool {
        self.verify(digest).is_ok()
    }

    /// The content's file, after its content has been checked once.
    pub(in crate::oci) fn verify(&self, digest: &Digest) -> Result<PathBuf, ImageError> {
        let gone = |why: &str| ImageError::Damaged {
            digest: *digest,
            why: why.to_owned(),
        };
        let path = self
            .blob_path(digest)
            .ok_or_else(|| gone("it is not stored"))?;
        if self.verified.lock().contains(digest) {
            return match path.exists() {
                true => Ok(path),
                false => Err(gone("its file is gone")),
            };
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(gone("its file is gone"));
            }
            Err(error) => return Err(ImageError::io(format!("open {}", path.display()))(error)),
        };
        let (actual, _) = hash(file, &path)?;
        if actual != *digest {
            // Out of the way, so that it can be fetched anew.
            let _ = std::fs::remove_file(&path);
            return Err(gone(&format!("its content is {actual}")));
        }
        self.verified.lock().insert(*digest);
        Ok(path)
    }

    /// Small content, checked; larger than `limit` is an error.
    pub(in crate::oci) fn read_blob(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<u8>, ImageError> {
        let path = self.verify(digest)?;
        let file = File::open(&path).map_err(ImageError::io(format!("open {}", path.display())))?;
        let mut bytes = Vec::new();
        let read = file.take(limit as u64 + 1).read_to_end(&mut bytes);
        read.map_err(ImageError::io(format!("read {}", path.display())))?;
        if bytes.len() > limit {
            return Err(ImageError::too_large(
                format!("content {digest}"),
                format!("{limit} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Stores small content.
    pub(in crate::oci) fn write_blob(
        &self,
        work: &Work,
        bytes: &[u8],
    ) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if self.has_blob(&digest) {
            return Ok(digest);
        }
        let mut writer = BlobWriter::begin(work, bytes.len() as u64)?;
        writer.write(bytes)?;
        self.commit(&writer.finish()?)
    }

    /// Stores what a writer has taken in, durably.
    pub(in crate::oci) fn commit(&self, spooled: &Spooled) -> Result<Digest, ImageError> {
        let digest = spooled.digest;
        let what = || format!("store content {digest}");
        let folder = self.root_to_write()?.join("blobs/sha256");
        let path = folder.join(digest.hex());
        std::fs::rename(&spooled.path, &path).map_err(ImageError::io(what()))?;
        let synced = File::open(&folder).and_then(|folder| folder.sync_all());
        synced.map_err(ImageError::io(what()))?;
        self.verified.lock().insert(digest);
        Ok(digest)
    }
}

impl BlobWriter {
    /// Begins content of at most `limit` bytes.
    pub(in crate::oci) fn begin(work: &Work, limit: u64) -> Result<Self, ImageError> {
        let path = work.new_path();
        let file = File::create_new(&path)
            .map_err(ImageError::io(format!("create {}", path.display())))?;
        Ok(Self {
            file,
            path,
            hasher: Sha256::new(),
            written: 0,
            limit,
        })
    }

    /// Takes in some more.
    pub(in crate::oci) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(ImageError::too_large(
                "image content",
                format!("{} bytes", self.limit),
            ));
        }
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(ImageError::io(format!("write {}", self.path.display())))
    }

    /// Takes in all that there is to read; the error of reading is given to `wrong`.
    pub(in crate::oci) fn copy(
        &mut self,
        from: &mut dyn Read,
        wrong: impl FnOnce(std::io::Error) -> ImageError,
    ) -> Result<(), ImageError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.write(buffer.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(wrong(error)),
            }
        }
    }

    /// The content is whole: syncs it.
    pub(in crate::oci) fn finish(self) -> Result<Spooled, ImageError> {
        let what = || format!("write {}", self.path.display());
        self.file.sync_all().map_err(ImageError::io(what()))?;
        let digest = Digest::from_hasher(self.hasher);
        Ok(Spooled {
            path: self.path,
            digest,
            size: self.written,
        })
    }
}

/// The digest and the length of a whole file.
fn hash(mut file: File, path: &Path) -> Result<(Digest, u64), ImageError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer);
        let read = read.map_err(ImageError::io(format!("read {}", path.display())))?;
        if read == 0 {
            return Ok((Digest::from_hasher(hasher), length));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BlobWriter::write(self, bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
