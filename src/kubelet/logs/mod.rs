//! Logs of containers: what they print, line by line with time and stream, in files that are
//! rotated (or in bounded memory), and the reading of it: from an end, since a time, followed.
//! The line form is that of the CRI: `2026-01-02T03:04:05.000000000Z stdout F text`.
//! Must not know pods beyond their names.

mod allowance;
mod container_log;
mod reader;
mod segments;
mod tap;

pub(in crate::kubelet) use container_log::ContainerLog;
pub(in crate::kubelet) use reader::{LogQuery, LogStream};
pub(in crate::kubelet) use tap::Tap;

use crate::stdx::{Clock, create_private_dir};
use parking_lot::Mutex;
use segments::Segments;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Log files that are kept open between writes, by all containers of a node; the others are opened
/// for each write.
const OPEN_FILES_MAX: usize = 256;
/// Instances of a container whose logs are kept: the present one and the one before.
const INSTANCES_KEPT: usize = 2;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::kubelet) enum LogError {
    /// There is no log of that instance.
    #[error("no log")]
    NotFound,
    /// The files cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Names a container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::kubelet) struct LogKey {
    /// Namespace of the pod.
    pub(in crate::kubelet) namespace: String,
    /// Name of the pod.
    pub(in crate::kubelet) pod: String,
    /// `metadata.uid` of the pod.
    pub(in crate::kubelet) uid: String,
    /// Container.
    pub(in crate::kubelet) container: String,
}

impl LogKey {
    fn pod_folder(&self) -> String {
        format!("{}_{}_{}", self.namespace, self.pod, self.uid)
    }
}

/// The sizes at which logs are cut. Kubernetes: containerLogMaxSize, containerLogMaxFiles.
#[derive(Clone, Copy, Debug)]
pub(in crate::kubelet) struct LogLimits {
    /// A file that has grown to this is rotated.
    pub(in crate::kubelet) file_bytes_max: u64,
    /// Files of one instance, the present one included.
    pub(in crate::kubelet) files_max: usize,
    /// Bytes of one instance that are held when there are no files.
    pub(in crate::kubelet) memory_bytes_max: usize,
    /// Bytes that one container may print at once, after it was quiet.
    pub(in crate::kubelet) burst_bytes: u64,
    /// Bytes a second that it may print on and on; lines beyond are dropped, and the log says so.
    /// A guest that prints in a circle would else wear out an SD card.
    pub(in crate::kubelet) bytes_per_second: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            file_bytes_max: 10 << 20,
            files_max: 5,
            memory_bytes_max: 256 << 10,
            burst_bytes: 16 << 20,
            bytes_per_second: 1 << 20,
        }
    }
}

type Instances = Vec<(u32, Arc<ContainerLog>)>;

/// The logs of a node.
pub(in crate::kubelet) struct LogStore {
    folder: Option<PathBuf>,
    limits: LogLimits,
    clock: Clock,
    open_files: Arc<Semaphore>,
    /// By pod uid, then by container.
    pods: Mutex<HashMap<String, HashMap<String, Instances>>>,
}

impl LogStore {
    /// Logs in `folder`, or in memory.
    pub(in crate::kubelet) fn open(
        folder: Option<&Path>,
        limits: LogLimits,
        clock: Clock,
    ) -> io::Result<Self> {
        if let Some(folder) = folder {
            create_private_dir(folder)?;
        }
        Ok(Self {
            folder: folder.map(Path::to_path_buf),
            limits,
            clock,
            open_files: Arc::new(Semaphore::new(OPEN_FILES_MAX)),
            pods: Mutex::default(),
        })
    }

    /// The log of a new instance of a container; logs of instances long gone are dropped.
    pub(in crate::kubelet) fn begin(&self, key: &LogKey, instance: u32) -> Arc<ContainerLog> {
        let folder = self.container_folder(key);
        let segments = match &folder {
            Some(folder) => Segments::files(folder.clone(), instance, self.limits),
            None => Segments::memory(self.limits),
        };
        let log = ContainerLog::new(segments, self.limits, self.clock.clone(), &self.open_files);
        let log = Arc::new(log);
        let mut pods = self.pods.lock();
        let containers = pods.entry(key.uid.clone()).or_default();
        let instances = containers.entry(key.container.clone()).or_default();
        instances.push((instance, log.clone()));
        let old = instances.len().saturating_sub(INSTANCES_KEPT);
        instances.drain(..old);
        drop(pods);
        if let Some(folder) = folder
            && instance as usize >= INSTANCES_KEPT
        {
            segments::remove_older(&folder, instance - 1);
        }
        log
    }

    fn container_folder(&self, key: &LogKey) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(key.pod_folder()).join(&key.container))
    }

    /// The log of an instance, which may have ended in an earlier life of the process.
    pub(in crate::kubelet) fn find(
        &self,
        key: &LogKey,
        instance: u32,
    ) -> Result<Arc<ContainerLog>, LogError> {
        let found = self
            .pods
            .lock()
            .get(&key.uid)
            .and_then(|containers| containers.get(&key.container))
            .and_then(|instances| instances.iter().find(|(n, _)| *n == instance))
            .map(|(_, log)| log.clone());
        if let Some(log) = found {
            return Ok(log);
        }
        let folder = self.container_folder(key).ok_or(LogError::NotFound)?;
        let segments = Segments::found(folder, instance, self.limits)?.ok_or(LogError::NotFound)?;
        let log = ContainerLog::new(segments, self.limits, self.clock.clone(), &self.open_files);
        log.close();
        Ok(Arc::new(log))
    }

    /// Drops all logs of a pod.
    pub(in crate::kubelet) fn remove_pod(&self, namespace: &str, pod: &str, uid: &str) {
        self.pods.lock().remove(uid);
        let Some(folder) = &self.folder else { return };
        let folder = folder.join(format!("{namespace}_{pod}_{uid}"));
        // A pod that never ran has no folder.
        let _ = std::fs::remove_dir_all(folder);
    }

    /// Drops the logs of pods that are not among `known` (uids).
    pub(in crate::kubelet) fn remove_orphans(
        &self,
        known: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let uid = name.to_str().and_then(|name| name.rsplit('_').next());
            if uid.is_some_and(|uid| !known(uid)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
