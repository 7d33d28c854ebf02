//! The bytes of one instance's log, by an offset that only grows: a few files, or a bounded piece
//! of memory. The oldest bytes are dropped when there are too many. Must not know what a line is,
//! but for never cutting what is appended at once.

use crate::kubelet::logs::LogLimits;
use crate::stdx::create_private_dir;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes between two offsets.
struct Segment {
    begin: u64,
    length: u64,
    place: Place,
}

enum Place {
    File(PathBuf),
    Memory(Bytes),
}

/// The kept bytes of an instance's log.
pub(super) struct Segments {
    list: VecDeque<Segment>,
    folder: Option<(PathBuf, u32)>,
    limits: LogLimits,
    end: u64,
    rotations: u64,
}

impl Segments {
    /// A new log in memory.
    pub(super) fn memory(limits: LogLimits) -> Self {
        Self {
            list: VecDeque::new(),
            folder: None,
            limits,
            end: 0,
            rotations: 0,
        }
    }

    /// A new log in files; nothing is made before the first byte.
    pub(super) fn files(folder: PathBuf, instance: u32, limits: LogLimits) -> Self {
        Self {
            folder: Some((folder, instance)),
            ..Self::memory(limits)
        }
    }

    /// The log that an earlier life of the process left, if there is one.
    pub(super) fn found(
        folder: PathBuf,
        instance: u32,
        limits: LogLimits,
    ) -> io::Result<Option<Self>> {
        let mut old: Vec<(u64, PathBuf)> = Vec::new();
        for (n, rotation, path) in listed(&folder)? {
            if n == instance {
                old.push((rotation.unwrap_or(u64::MAX), path));
            }
        }
        if old.is_empty() {
            return Ok(None);
        }
        old.sort();
        let mut segments = Self::files(folder, instance, limits);
        for (_, path) in old {
            let length = std::fs::metadata(&path)?.len();
            segments.list.push_back(Segment {
                begin: segments.end,
                length,
                place: Place::File(path),
            });
            segments.end += length;
        }
        Ok(Some(segments))
    }

    /// The offset of the oldest byte that is kept.
    pub(super) fn begin(&self) -> u64 {
        self.list.front().map_or(self.end, |first| first.begin)
    }

    /// The offset behind the newest byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends whole lines. `file` is the open file between calls, if it may stay open.
    pub(super) fn append(&mut self, bytes: &[u8], file: &mut Option<File>) -> io::Result<()> {
        match self.folder.clone() {
            None => self.append_memory(bytes),
            Some((folder, instance)) => self.append_file(bytes, &folder, instance, file)?,
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn append_memory(&mut self, bytes: &[u8]) {
        self.list.push_back(Segment {
            begin: self.end,
            length: bytes.len() as u64,
            place: Place::Memory(Bytes::copy_from_slice(bytes)),
        });
        let end = self.end + bytes.len() as u64;
        while end - self.begin() > self.limits.memory_bytes_max as u64 && self.list.len() > 1 {
            self.list.pop_front();
        }
    }

    fn append_file(
        &mut self,
        bytes: &[u8],
        folder: &Path,
        instance: u32,
        file: &mut Option<File>,
    ) -> io::Result<()> {
        let path = folder.join(format!("{instance}.log"));
        let full = |last: &Segment| last.length >= self.limits.file_bytes_max;
        if self.list.back().is_some_and(full) {
            self.rotate(&path)?;
            *file = None;
        }
        if self.list.back().is_none() || file.is_none() && !path.exists() {
            create_private_dir(folder)?;
            self.list.push_back(Segment {
                begin: self.end,
                length: 0,
                place: Place::File(path.clone()),
            });
        }
        let open = match file {
            Some(open) => open,
            None => {
                let mut options = OpenOptions::new();
                options.append(true).create(true).mode(0o600);
                file.insert(options.open(&path)?)
            }
        };
        open.write_all(bytes)?;
        if let Some(last) = self.list.back_mut() {
            last.length += bytes.len() as u64;
        }
        Ok(())
    }

    /// The present file gets a name of its own and a new one begins; the oldest goes.
    fn rotate(&mut self, path: &Path) -> io::Result<()> {
        self.rotations += 1;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", self.rotations));
        let aside = PathBuf::from(name);
        std::fs::rename(path, &aside)?;
        if let Some(last) = self.list.back_mut() {
            last.place = Place::File(aside);
        }
        while self.list.len() >= self.limits.files_max.max(1) {
            if let Some(Segment {
                place: Place::File(path),
                ..
            }) = self.list.pop_front()
            {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Up to `max` bytes from `offset` on, or from the oldest byte if that one is gone; the offset
    /// of the first byte is returned as well.
    pub(super) fn read(&self, offset: u64, max: usize) -> io::Result<(u64, Vec<u8>)> {
        let offset = offset.max(self.begin());
        let mut out = Vec::new();
        for segment in &self.list {
            let at = offset + out.len() as u64;
            if at < segment.begin || at >= segment.begin + segment.length {
                continue;
            }
            let from = at - segment.begin;
            let left = (segment.length - from).min((max - out.len()) as u64);
            let left = usize::try_from(left).unwrap_or(0);
            match &segment.place {
                Place::Memory(bytes) => {
                    let from = usize::try_from(from).unwrap_or(0);
                    let part = bytes.get(from..from + left).unwrap_or_default();
                    out.extend_from_slice(part);
                }
                Place::File(path) => {
                    let mut part = vec![0; left];
                    File::open(path)?.read_exact_at(&mut part, from)?;
                    out.extend_from_slice(&part);
                }
            }
            if out.len() >= max {
                break;
            }
        }
        Ok((offset, out))
    }
}

/// Log files of a container: instance, rotation (none for the present file), path.
fn listed(folder: &Path) -> io::Result<Vec<(u32, Option<u64>, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((instance, rest)) = name.to_str().and_then(|name| name.split_once(".log")) else {
            continue;
        };
        let rotation = rest.strip_prefix('.').map(str::parse);
        if let (Ok(instance), None) = (instance.parse(), &rotation) {
            found.push((instance, None, entry.path()));
        } else if let (Ok(instance), Some(Ok(rotation))) = (instance.parse(), rotation) {
            found.push((instance, Some(rotation), entry.path()));
        }
    }
    Ok(found)
}

/// Removes the files of instances before `oldest`.
pub(super) fn remove_older(folder: &Path, oldest: u32) {
    for (instance, _, path) in listed(folder).unwrap_or_default() {
        if instance < oldest {
            // What is left is removed with the pod.
            let _ = std::fs::remove_file(path);
        }
    }
}
