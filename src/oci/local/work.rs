//! A private folder for work in progress. It is locked as long as its process lives, so that
//! another one can tell a crashed one's leftovers from what is still being written.

use super::Disk;
use crate::oci::error::ImageError;
use crate::stdx::create_private_dir;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::PathBuf;

/// The folder; it is removed with all that was not moved out of it.
#[derive(Debug)]
pub(in crate::oci) struct Work {
    path: PathBuf,
    _lock: File,
}

impl Disk {
    /// A new folder for one piece of work.
    pub(in crate::oci) fn work(&self) -> Result<Work, ImageError> {
        let path = self.root_to_write()?.join("tmp").join(id());
        create_private_dir(&path).map_err(ImageError::io(format!("create {}", path.display())))?;
        let lock = path.join("lock");
        let file =
            File::create(&lock).map_err(ImageError::io(format!("create {}", lock.display())))?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        locked.map_err(|e| ImageError::io(format!("lock {}", lock.display()))(e.into()))?;
        Ok(Work { path, _lock: file })
    }

    /// Removes the leftovers of processes that ended before their work did.
    pub(super) fn sweep(&self) {
        let Some(root) = self.root() else { return };
        // Nobody begins work while the folder is locked alone: a folder without a lock file is
        // then a leftover and not one that is just being made.
        let Ok(Some(_alone)) = self.try_lock_alone() else {
            return;
        };
        for entry in std::fs::read_dir(root.join("tmp"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let file = File::open(entry.path().join("lock"));
            let locked =
                |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
            if file.as_ref().map_or(true, locked) {
                // What cannot be removed now is tried again at the next start.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Work {
    /// A path that nothing lies at yet.
    pub(in crate::oci) fn new_path(&self) -> PathBuf {
        self.path.join(id())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays behind is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
