//! Names: one small file each, named by the name's own hash, so that two processes can change
//! different names at once and the same name one after the other.

use super::Disk;
use crate::oci::error::ImageError;
use crate::oci::image::Origin;
use crate::oci::reference::Reference;
use crate::stdx::{Digest, write_atomic};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a name means.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::oci) struct RefRecord {
    /// The whole reference.
    pub(in crate::oci) reference: String,
    /// The manifest's digest.
    pub(in crate::oci) manifest: String,
    /// How it came.
    pub(in crate::oci) origin: Origin,
    /// When it came.
    pub(in crate::oci) created: jiff::Timestamp,
}

impl RefRecord {
    /// The manifest's digest.
    pub(in crate::oci) fn digest(&self) -> Result<Digest, ImageError> {
        Ok(self.manifest.parse()?)
    }
}

impl Disk {
    fn ref_path(&self, reference: &str) -> Option<PathBuf> {
        Some(
            self.root()?
                .join("refs")
                .join(Digest::of(reference.as_bytes()).hex()),
        )
    }

    /// What a name means here, if it is known.
    pub(in crate::oci) fn read_ref(
        &self,
        reference: &Reference,
    ) -> Result<Option<RefRecord>, ImageError> {
        let name = reference.to_string();
        let Some(path) = self.ref_path(&name) else {
            return Ok(None);
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ImageError::io(format!("read {}", path.display()))(error)),
        };
        let record: RefRecord = serde_json::from_slice(&bytes)
            .map_err(|error| ImageError::malformed(path.display().to_string(), error))?;
        Ok((record.reference == name).then_some(record))
    }

    /// Makes a name mean something, durably.
    pub(in crate::oci) fn write_ref(&self, record: &RefRecord) -> Result<(), ImageError> {
        self.root_to_write()?;
        let Some(path) = self.ref_path(&record.reference) else {
            return Ok(());
        };
        let bytes = serde_json::to_vec(record)
            .map_err(|error| ImageError::malformed(record.reference.clone(), error))?;
        write_atomic(&path, &bytes, 0o600)
            .map_err(ImageError::io(format!("write {}", path.display())))
    }

    /// Forgets a name; answers whether it was known.
    pub(in crate::oci) fn remove_ref(&self, reference: &Reference) -> Result<bool, ImageError> {
        let Some(path) = self.ref_path(&reference.to_string()) else {
            return Ok(false);
        };
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ImageError::io(format!("remove {}", path.display()))(error)),
        }
    }

    /// All names, sorted. A damaged file is left out and logged.
    pub(in crate::oci) fn refs(&self) -> Result<Vec<RefRecord>, ImageError> {
        let Some(root) = self.root() else {
            return Ok(Vec::new());
        };
        let folder = root.join("refs");
        let entries = std::fs::read_dir(&folder);
        let entries = entries.map_err(ImageError::io(format!("read {}", folder.display())))?;
        let mut records = Vec::new();
        for entry in entries.flatten() {
            // Files beside, on their way in, begin with a dot.
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match std::fs::read(entry.path()).map(|bytes| serde_json::from_slice(&bytes)) {
                Ok(Ok(record)) => records.push(record),
                Ok(Err(error)) => {
                    tracing::warn!(file = %entry.path().display(), %error, "a damaged image name is left out");
                }
                // Removed meanwhile.
                Err(_) => {}
            }
        }
        records.sort_by(|a: &RefRecord, b| a.reference.cmp(&b.reference));
        Ok(records)
    }
}
