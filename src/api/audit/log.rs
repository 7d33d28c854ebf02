//! Where audit events go: a file that is rotated, or stdout. Written at once, or by a thread of its
//! own through a bounded queue. Must not know what an event says.
//! Kubernetes: apiserver `plugin/pkg/audit/{log,buffered}`; the names of old files are lumberjack's.

use crate::stdx::Clock;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that wait to be written, where requests do not wait for it.
/// Kubernetes: `--audit-log-batch-buffer-size`.
const EVENTS_MAX: usize = 10_000;
/// How the time stands in the name of an old file.
const BACKUP_TIME: &str = "%Y-%m-%dT%H-%M-%S.%3f";

/// Whether requests wait for their events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// They do; one that cannot be written is told in the server's own log.
    #[default]
    Blocking,
    /// They do; a request whose first event cannot be written is refused.
    BlockingStrict,
    /// They do not; what is too much is dropped and counted.
    Batch,
}

/// How the log is kept.
#[derive(Clone, Debug, Default)]
pub struct AuditLogConfig {
    /// The file; `-` is stdout.
    pub path: PathBuf,
    /// Days after which an old file is removed; 0 keeps it.
    pub age_days_max: u64,
    /// Old files that are kept; 0 keeps all.
    pub backups_max: usize,
    /// Megabytes after which a new file is begun; 0 never does.
    pub megabytes_max: u64,
    /// Whether requests wait for their events.
    pub mode: AuditMode,
}

/// The log.
pub(super) struct Log {
    mode: AuditMode,
    writer: Arc<Mutex<Writer>>,
    queue: Mutex<Option<mpsc::Sender<String>>>,
    /// Tells that the queue was written out.
    ended: tokio::sync::watch::Receiver<bool>,
}

impl Log {
    pub(super) fn open(config: &AuditLogConfig, clock: &Clock) -> io::Result<Self> {
        let writer = Arc::new(Mutex::new(Writer::open(config, clock)?));
        let (sender, mut receiver) = mpsc::channel::<String>(EVENTS_MAX);
        let (end, ended) = tokio::sync::watch::channel(false);
        let batches = config.mode == AuditMode::Batch;
        if batches {
            let writer = writer.clone();
            tokio::task::spawn_blocking(move || {
                while let Some(line) = receiver.blocking_recv() {
                    if let Err(error) = writer.lock().write(&line) {
                        tracing::error!(%error, "an audit event was not written");
                    }
                }
                end.send_replace(true);
            });
        } else {
            end.send_replace(true);
        }
        Ok(Self {
            mode: config.mode,
            writer,
            queue: Mutex::new(batches.then_some(sender)),
            ended,
        })
    }

    /// Whether a request must not go on without its event.
    pub(super) fn is_strict(&self) -> bool {
        self.mode == AuditMode::BlockingStrict
    }

    /// Takes an event, a line with its end.
    pub(super) fn write(&self, line: String) -> io::Result<()> {
        if self.mode != AuditMode::Batch {
            return self.writer.lock().write(&line);
        }
        let queue = self.queue.lock();
        let sent = queue.as_ref().map(|queue| queue.try_send(line));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(io::Error::other("audit backend is overloaded")),
        }
    }

    /// Writes out what waits; nothing is taken after it.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let mut ended = self.ended.clone();
        // The writer's thread is gone only after it has written all.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

struct Writer {
    path: PathBuf,
    /// `None` is stdout.
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
    backups_max: usize,
    age_days_max: u64,
    clock: Clock,
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

impl Writer {
    fn open(config: &AuditLogConfig, clock: &Clock) -> io::Result<Self> {
        let path = config.path.clone();
        let file = match path.as_os_str() == "-" {
            true => None,
            false => {
                if let Some(folder) = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                {
                    std::fs::create_dir_all(folder)?;
                }
                Some(open(&path)?)
            }
        };
        let bytes = match &file {
            Some(file) => file.metadata()?.len(),
            None => 0,
        };
        Ok(Self {
            path,
            file,
            bytes,
            bytes_max: config.megabytes_max << 20,
            backups_max: config.backups_max,
            age_days_max: config.age_days_max,
            clock: clock.clone(),
        })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes())?;
            return out.flush();
        };
        let length = line.len() as u64;
        if self.bytes_max > 0 && self.bytes > 0 && self.bytes + length > self.bytes_max {
            self.rotate()?;
            return self.append(line);
        }
        file.write_all(line.as_bytes())?;
        self.bytes += length;
        Ok(())
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(line.as_bytes())?;
            self.bytes += line.len() as u64;
        }
        Ok(())
    }

    /// The stem and the ending of the file's name: an old one has its time between them.
    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let ending = match self.path.extension() {
            Some(ending) => format!(".{}", ending.to_string_lossy()),
            None => String::new(),
        };
        (format!("{}-", part(self.path.file_stem())), ending)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let (stem, ending) = self.name();
        let now = self.clock.now();
        let name = format!("{stem}{}{ending}", now.strftime(BACKUP_TIME));
        std::fs::rename(&self.path, self.path.with_file_name(name))?;
        self.file = Some(open(&self.path)?);
        self.bytes = 0;
        if let Err(error) = self.remove_old(now) {
            tracing::warn!(%error, "old audit logs were not removed");
        }
        Ok(())
    }

    fn remove_old(&self, now: Timestamp) -> io::Result<()> {
        let (stem, ending) = self.name();
        let folder = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let mut old: Vec<(String, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let time = name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_suffix(&ending));
            // Ours are those whose middle is a time.
            let time =
                time.filter(|time| time.len() == 23 && time.as_bytes().get(10) == Some(&b'T'));
            if let Some(time) = time {
                old.push((time.to_owned(), entry.path()));
            }
        }
        // The times sort as they are.
        old.sort();
        old.reverse();
        let days = i64::try_from(self.age_days_max).unwrap_or(i64::MAX / 25);
        let oldest = now.checked_sub(SignedDuration::from_hours(days.saturating_mul(24)));
        let oldest = oldest.map(|oldest| oldest.strftime(BACKUP_TIME).to_string());
        for (at, (time, path)) in old.iter().enumerate() {
            let too_many = self.backups_max > 0 && at >= self.backups_max;
            let too_old =
                self.age_days_max > 0 && oldest.as_ref().is_ok_and(|oldest| time < oldest);
            if too_many || too_old {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_file_makes_way_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let config = AuditLogConfig {
            path: folder.path().join("logs/audit.log"),
            backups_max: 2,
            megabytes_max: 1,
            mode: AuditMode::Batch,
            ..AuditLogConfig::default()
        };
        let clock = Clock::virtual_from(Timestamp::UNIX_EPOCH);
        let line = format!("{}\n", "x".repeat(400 << 10));
        let files = || {
            let files = std::fs::read_dir(folder.path().join("logs")).unwrap();
            let mut names: Vec<String> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let mut writer = Writer::open(&config, &clock).unwrap();
        for _ in 0..9 {
            clock.sleep(std::time::Duration::from_secs(1)).await;
            writer.write(&line).unwrap();
        }
        assert_eq!(
            files(),
            [
                "audit-1970-01-01T00-00-07.000.log",
                "audit-1970-01-01T00-00-09.000.log",
                "audit.log",
            ]
        );
        // Not before: a thread that waits for events keeps a paused clock from going on.
        let log = Log::open(&config, &clock).unwrap();
        log.write("last\n".to_owned()).unwrap();
        log.close().await;
        assert!(log.write("late\n".to_owned()).is_err());
    }
}
