//! The data directory: made closed to others, used by one server at a time.
//!
//! ```text
//! <data-dir>/lock          held by the running server, with its pid
//!            kubeconfig    the admin's
//!            pki/          the certificate authority, and the key that signs tokens
//!            store/        the objects
//!            images/       the local image store
//!            compiled/     compiled code, by digest
//!            nodes/        what each node's agent must remember
//!            logs/         the containers' logs
//! ```

use crate::serve::ServeError;
use crate::stdx::create_private_dir;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The open data directory; released when dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes `path` if need be and takes it; refuses if another server has it.
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        create_private_dir(path).map_err(|error| ServeError::file(path, error))?;
        let lock_path = path.join("lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&lock_path, flags, Mode::from_raw_mode(0o600))
            .map_err(|error| ServeError::file(&lock_path, error))?;
        let mut lock = File::from(lock);
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // The pid is a help, not a need.
                let _ = lock.read_to_string(&mut pid);
                let by = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (pid {pid})"),
                };
                return Err(ServeError::InUse {
                    path: path.to_owned(),
                    by,
                });
            }
            Err(error) => return Err(ServeError::file(&lock_path, error)),
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()));
        written.map_err(|error| ServeError::file(&lock_path, error))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, made if need be.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, ServeError> {
        let path = self.path.join(name);
        create_private_dir(&path).map_err(|error| ServeError::file(&path, error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_server_at_a_time_and_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("(pid {})", std::process::id())),
            "{refused}"
        );
        drop(first);
        DataDir::open(&path).unwrap();
    }
}
