//! The folder of stored images. Content lies under its digest, names point to manifests, one
//! small file each; everything is written beside, synced and renamed, so that a crash leaves
//! nothing half. The server and `wkube image` use one folder at the same time: who writes holds
//! the folder's lock shared, who collects garbage holds it alone.
//!
//! ```text
//! blobs/sha256/<hex>   content
//! refs/<hex of name>   a name, the manifest it means, how it came
//! images/<hex>         what was worked out of a manifest (can be made again)
//! rootfs/<hex>/        the unpacked layers of a manifest (can be made again)
//! tmp/<id>/            work in progress, locked by its process
//! ```

mod blobs;
mod gc;
mod refs;
mod work;

pub(super) use blobs::{BlobWriter, Spooled};
pub(super) use refs::RefRecord;
pub(super) use work::Work;

use super::error::ImageError;
use crate::stdx::{Digest, create_private_dir};
use parking_lot::{Mutex, RwLock};
use rustix::fs::{FlockOperation, flock};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder, or the promise of one: a store in memory makes a private temporary folder when
/// the first image comes that is not part of wkube, and takes it away in the end.
#[derive(Debug)]
pub(super) struct Disk {
    root: RwLock<Option<PathBuf>>,
    is_temporary: bool,
    /// Content that this process has checked against its digest.
    verified: Mutex<HashSet<Digest>>,
}

/// The folder's lock, held until dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl Disk {
    /// Opens the folder and sweeps what crashed processes left; `None` is a store in memory.
    pub(super) fn open(root: Option<&Path>) -> Result<Self, ImageError> {
        let disk = Self {
            root: RwLock::new(None),
            is_temporary: root.is_none(),
            verified: Mutex::default(),
        };
        if let Some(root) = root {
            create(root)?;
            *disk.root.write() = Some(root.to_owned());
            disk.sweep();
        }
        Ok(disk)
    }

    /// The folder, if there is one yet.
    pub(super) fn root(&self) -> Option<PathBuf> {
        self.root.read().clone()
    }

    /// The folder, made if need be.
    pub(super) fn root_to_write(&self) -> Result<PathBuf, ImageError> {
        if let Some(root) = self.root() {
            return Ok(root);
        }
        let mut root = self.root.write();
        if let Some(root) = root.as_ref() {
            return Ok(root.clone());
        }
        let name = format!("wkube-images-{}", uuid::Uuid::new_v4().simple());
        let folder = std::env::temp_dir().join(name);
        create(&folder)?;
        *root = Some(folder.clone());
        Ok(folder)
    }

    /// Holds off garbage collection while content is added that no name points to yet.
    pub(super) fn lock_shared(&self) -> Result<FolderLock, ImageError> {
        let file = lock_file(&self.root_to_write()?)?;
        let locked = flock(&file, FlockOperation::LockShared);
        locked.map_err(|e| ImageError::io("lock the image store")(e.into()))?;
        Ok(FolderLock { _file: file })
    }

    /// The folder for oneself, or `None` when someone else works in it.
    pub(super) fn try_lock_alone(&self) -> Result<Option<FolderLock>, ImageError> {
        let Some(root) = self.root() else {
            return Ok(None);
        };
        let file = lock_file(&root)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(FolderLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(ImageError::io("lock the image store")(error.into())),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let (true, Some(root)) = (self.is_temporary, self.root.get_mut().take()) {
            // Nothing is to be done about a leftover; it is private and in the temporary folder.
            let _ = std::fs::remove_dir_all(root);
        }
    }
}

fn create(root: &Path) -> Result<(), ImageError> {
    for folder in [
        "",
        "blobs",
        "blobs/sha256",
        "refs",
        "images",
        "rootfs",
        "tmp",
    ] {
        let path = root.join(folder);
        create_private_dir(&path).map_err(ImageError::io(format!("create {}", path.display())))?;
    }
    Ok(())
}

fn lock_file(root: &Path) -> Result<File, ImageError> {
    let path = root.join("lock");
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options
        .open(&path)
        .map_err(ImageError::io(format!("open {}", path.display())))
}
