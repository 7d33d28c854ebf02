//! Reading a log: from an end, since a time, with times, one stream of it, so many bytes, followed
//! as it grows. Waits for the log to wake it and never polls. What is read is handed on in bounded
//! parts, so that a slow reader holds nothing back and nothing piles up.

use crate::kubelet::logs::ContainerLog;
use crate::kubelet::logs::container_log::Extent;
use bytes::Bytes;
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Bytes that are read from a log at once.
const READ_BYTES: usize = 64 << 10;
/// Parts that wait for a slow reader.
const PARTS_WAITING_MAX: usize = 4;

/// What of a log is wanted. Kubernetes: PodLogOptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct LogQuery {
    /// Go on as it grows, until the run ends.
    pub(in crate::kubelet) follow: bool,
    /// Only the last lines.
    pub(in crate::kubelet) tail_lines: Option<u64>,
    /// Only lines of this time or later.
    pub(in crate::kubelet) since: Option<Timestamp>,
    /// Begin each line with its time.
    pub(in crate::kubelet) timestamps: bool,
    /// Stop after so many bytes.
    pub(in crate::kubelet) limit_bytes: Option<u64>,
    /// Only stdout (`false`) or stderr (`true`).
    pub(in crate::kubelet) only_stderr: Option<bool>,
}

/// A log as it is read. Ends when all is read, and in following when the run is over.
pub(in crate::kubelet) type LogStream = mpsc::Receiver<io::Result<Bytes>>;

/// Begins to read.
pub(super) fn read(log: Arc<ContainerLog>, query: LogQuery) -> LogStream {
    let (parts, stream) = mpsc::channel(PARTS_WAITING_MAX);
    tokio::spawn(async move {
        let mut reader = Reader {
            extent: log.extent(),
            left: query.limit_bytes.unwrap_or(u64::MAX),
            since: query.since.map(time_text),
            log,
            query,
            begun: false,
        };
        if let Err(error) = reader.run(&parts).await {
            // Who asked may be gone, then nobody needs to know.
            let _ = parts.send(Err(error)).await;
        }
    });
    stream
}

impl ContainerLog {
    /// Reads what `query` asks for.
    pub(in crate::kubelet) fn stream(self: &Arc<Self>, query: LogQuery) -> LogStream {
        read(self.clone(), query)
    }
}

fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

struct Reader {
    log: Arc<ContainerLog>,
    query: LogQuery,
    extent: watch::Receiver<Extent>,
    left: u64,
    since: Option<String>,
    /// A part of a line was written, so that its rest gets no time of its own.
    begun: bool,
}

impl Reader {
    async fn run(&mut self, parts: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
        let mut offset = match self.query.tail_lines {
            Some(lines) => self.tail_offset(lines).await?,
            None => self.log.begin(),
        };
        loop {
            let extent = *self.extent.borrow_and_update();
            while offset < extent.end {
                let (at, bytes) = self.blocking_read(offset, READ_BYTES).await?;
                // Only whole lines; a line is never longer than what is read at once.
                let whole = bytes.iter().rposition(|byte| *byte == b'\n');
                let whole = whole.map_or(bytes.len(), |end| end + 1);
                if whole == 0 {
                    break;
                }
                let out = self.formatted(bytes.get(..whole).unwrap_or_default());
                offset = at + whole as u64;
                if !out.is_empty() && parts.send(Ok(out)).await.is_err() {
                    return Ok(());
                }
                if self.left == 0 {
                    return Ok(());
                }
            }
            if !self.query.follow || extent.closed {
                return Ok(());
            }
            tokio::select! {
                changed = self.extent.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = parts.closed() => return Ok(()),
            }
        }
    }

    async fn blocking_read(&self, offset: u64, max: usize) -> io::Result<(u64, Vec<u8>)> {
        let log = self.log.clone();
        let read = tokio::task::spawn_blocking(move || log.read(offset, max));
        read.await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// The offset at which the last `lines` lines begin.
    async fn tail_offset(&self, lines: u64) -> io::Result<u64> {
        let end = self.extent.borrow().end;
        if lines == 0 {
            return Ok(end);
        }
        let begin = self.log.begin();
        let mut window = READ_BYTES as u64;
        loop {
            let from = end.saturating_sub(window).max(begin);
            let length = usize::try_from(end - from).unwrap_or(usize::MAX);
            let (at, bytes) = self.blocking_read(from, length).await?;
            if let Some(start) = tail_start(&bytes, lines) {
                return Ok(at + start as u64);
            }
            if from == begin {
                return Ok(begin);
            }
            window = window.saturating_mul(2);
        }
    }

    fn formatted(&mut self, entries: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries.split_inclusive(|byte| *byte == b'\n') {
            let Some(entry) = Entry::parse(entry) else {
                continue;
            };
            if self
                .since
                .as_deref()
                .is_some_and(|since| entry.time < since)
            {
                continue;
            }
            if self
                .query
                .only_stderr
                .is_some_and(|only| only != entry.stderr)
            {
                continue;
            }
            if self.query.timestamps && !self.begun {
                out.extend_from_slice(entry.time.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(entry.text);
            self.begun = !entry.full;
            if entry.full {
                out.push(b'\n');
            }
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        out.truncate(left);
        self.left -= out.len() as u64;
        out.into()
    }
}

/// Where the last `lines` lines of `bytes` begin, if there are more than that.
fn tail_start(bytes: &[u8], lines: u64) -> Option<usize> {
    let mut found = 0;
    let mut start = bytes.len();
    let mut rest = bytes;
    while !rest.is_empty() {
        let body = rest.strip_suffix(b"\n").unwrap_or(rest);
        let at = body.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
        let entry = rest.get(at..).unwrap_or_default();
        // A line ends where an entry is whole; the last one may be a piece.
        if Entry::parse(entry).is_some_and(|entry| entry.full) || rest.len() == bytes.len() {
            if found == lines {
                return Some(start);
            }
            found += 1;
        }
        start = at;
        rest = rest.get(..at).unwrap_or_default();
    }
    None
}

struct Entry<'a> {
    time: &'a str,
    stderr: bool,
    full: bool,
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(entry: &'a [u8]) -> Option<Self> {
        let entry = entry.strip_suffix(b"\n")?;
        let mut words = entry.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(words.next()?).ok()?;
        let stderr = words.next()? == b"stderr";
        let full = words.next()? == b"F";
        let text = words.next()?;
        Some(Self {
            time,
            stderr,
            full,
            text,
        })
    }
}
