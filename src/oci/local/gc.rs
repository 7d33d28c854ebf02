//! Collects what no name leads to. Only when nobody else works in the folder; what is left over
//! then is harmless and collected the next time.

use super::Disk;
use crate::oci::error::ImageError;
use crate::oci::manifest::{DOCUMENT_BYTES_MAX, Document};
use crate::oci::resolve::Resolved;
use crate::stdx::Digest;
use std::collections::HashSet;
use std::path::Path;

impl Disk {
    /// Removes unreachable content; answers how many bytes that freed.
    pub(in crate::oci) fn collect(&self) -> Result<u64, ImageError> {
        let Some(_alone) = self.try_lock_alone()? else {
            return Ok(0);
        };
        let Some(root) = self.root() else {
            return Ok(0);
        };
        let mut manifests = HashSet::new();
        let mut blobs = HashSet::new();
        for record in self.refs()? {
            let manifest = record.digest()?;
            if manifests.insert(manifest.hex()) {
                self.mark(&manifest, &mut blobs);
            }
        }
        let mut freed = 0;
        freed += remove_unmarked(&root.join("blobs/sha256"), &blobs);
        freed += remove_unmarked(&root.join("images"), &manifests);
        freed += remove_unmarked(&root.join("rootfs"), &manifests);
        self.verified
            .lock()
            .retain(|digest| blobs.contains(&digest.hex()));
        Ok(freed)
    }

    /// Marks what a manifest leads to. What cannot be read is kept as far as it is known.
    fn mark(&self, manifest: &Digest, blobs: &mut HashSet<String>) {
        blobs.insert(manifest.hex());
        let document = self
            .read_blob(manifest, DOCUMENT_BYTES_MAX)
            .and_then(|b| Document::parse(&b));
        if let Ok(Document::Manifest(document)) = document {
            let parts = document.layers.iter().chain([&document.config]);
            blobs.extend(
                parts
                    .filter_map(|part| part.digest().ok())
                    .map(|digest| digest.hex()),
            );
        }
        if let Ok(Some(resolved)) = Resolved::read(self, manifest) {
            blobs.extend(resolved.wasm_digest().ok().map(|digest| digest.hex()));
        }
    }
}

/// Removes files and folders whose names are not marked.
fn remove_unmarked(folder: &Path, marked: &HashSet<String>) -> u64 {
    let mut freed = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if marked.contains(entry.file_name().to_string_lossy().as_ref()) {
            continue;
        }
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let bytes = entry
            .metadata()
            .map_or(0, |data| if is_dir { 0 } else { data.len() });
        let removed = match is_dir {
            true => std::fs::remove_dir_all(entry.path()),
            false => std::fs::remove_file(entry.path()),
        };
        match removed {
            Ok(()) => freed += bytes,
            Err(error) => tracing::warn!(path = %entry.path().display(), %error, "left behind"),
        }
    }
    freed
}
