//! The log of one run of a container: takes bytes as the guest writes them, makes lines of them,
//! wakes who follows. A write is on its way to the disk when it returns, so there is no backlog
//! that could grow, and a guest that prints much waits for its own writes. Beyond its allowance,
//! lines are dropped, and the log says how many.

use crate::kubelet::logs::LogLimits;
use crate::kubelet::logs::allowance::Allowance;
use crate::kubelet::logs::segments::Segments;
use crate::kubelet::logs::tap::{Tap, Taps};
use crate::kubelet::runtime::Output;
use crate::stdx::Clock;
use parking_lot::Mutex;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A line longer than this is written in pieces that are marked as such. Kubernetes: CRI, 16 KiB.
const LINE_BYTES_MAX: usize = 16 << 10;

/// How far a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The offset behind the last byte.
    pub(super) end: u64,
    /// Nothing will follow.
    pub(super) closed: bool,
}

struct Inner {
    segments: Segments,
    /// What was written without a line end, of stdout and of stderr.
    partial: [Vec<u8>; 2],
    file: Option<File>,
    permit: Option<OwnedSemaphorePermit>,
    scratch: Vec<u8>,
    allowance: Allowance,
    failed: bool,
    closed: bool,
}

/// The log of one run of a container.
pub(in crate::kubelet) struct ContainerLog {
    inner: Mutex<Inner>,
    extent: watch::Sender<Extent>,
    taps: Taps,
    clock: Clock,
    open_files: Arc<Semaphore>,
}

impl ContainerLog {
    pub(super) fn new(
        segments: Segments,
        limits: LogLimits,
        clock: Clock,
        open_files: &Arc<Semaphore>,
    ) -> Self {
        let end = segments.end();
        Self {
            inner: Mutex::new(Inner {
                segments,
                partial: [Vec::new(), Vec::new()],
                file: None,
                permit: None,
                scratch: Vec::new(),
                allowance: Allowance::new(&limits, clock.instant()),
                failed: false,
                closed: false,
            }),
            extent: watch::Sender::new(Extent { end, closed: false }),
            taps: Taps::default(),
            clock,
            open_files: open_files.clone(),
        }
    }

    /// The run is over: what was written without a line end is written, followers end.
    pub(in crate::kubelet) fn close(&self) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        inner.closed = true;
        for stderr in [false, true] {
            let rest = std::mem::take(inner.partial_mut(stderr));
            if !rest.is_empty() {
                let now = self.timestamp();
                inner.line(&now, stderr, b'P', &rest);
            }
        }
        if let Some(words) = inner.allowance.take_dropped() {
            let now = self.timestamp();
            inner.push(&now, true, b'F', words.as_bytes());
        }
        inner.flush(&self.open_files);
        inner.file = None;
        inner.permit = None;
        let end = inner.segments.end();
        self.extent.send_replace(Extent { end, closed: true });
        self.taps.close();
    }

    /// What is printed from now on, byte for byte; `None` if too many clients have it.
    pub(in crate::kubelet) fn tap(&self) -> Option<Tap> {
        let inner = self.inner.lock();
        self.taps.open(inner.closed)
    }

    pub(super) fn extent(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    /// The offset of the oldest byte that is kept.
    pub(super) fn begin(&self) -> u64 {
        self.inner.lock().segments.begin()
    }

    /// Reads up to `max` bytes from `offset` on. Reads the disk.
    pub(super) fn read(&self, offset: u64, max: usize) -> io::Result<(u64, Vec<u8>)> {
        self.inner.lock().segments.read(offset, max)
    }

    fn timestamp(&self) -> String {
        self.clock
            .now()
            .strftime("%Y-%m-%dT%H:%M:%S%.9fZ")
            .to_string()
    }
}

impl Output for ContainerLog {
    fn write(&self, stderr: bool, bytes: &[u8]) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        self.taps.write(stderr, bytes);
        let now = self.timestamp();
        inner.allowance.refill(self.clock.instant());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            inner.piece(&now, stderr, piece);
        }
        if inner.scratch.is_empty() {
            return;
        }
        inner.flush(&self.open_files);
        let end = inner.segments.end();
        self.extent.send_replace(Extent { end, closed: false });
    }

    fn room(&self, waker: Option<&Waker>) -> bool {
        self.taps.room(waker)
    }
}

impl Inner {
    fn partial_mut(&mut self, stderr: bool) -> &mut Vec<u8> {
        let [out, err] = &mut self.partial;
        if stderr { err } else { out }
    }

    /// Takes a piece that has at most one line end, at its end.
    fn piece(&mut self, now: &str, stderr: bool, mut piece: &[u8]) {
        loop {
            let partial = self.partial_mut(stderr);
            let room = LINE_BYTES_MAX - partial.len().min(LINE_BYTES_MAX);
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            if let Some((now_part, later)) = text.split_at_checked(room)
                && !later.is_empty()
            {
                partial.extend_from_slice(now_part);
                let line = std::mem::take(partial);
                self.line(now, stderr, b'P', &line);
                piece = piece.get(room..).unwrap_or_default();
                continue;
            }
            if text.len() == piece.len() {
                partial.extend_from_slice(text);
            } else if partial.is_empty() {
                self.line(now, stderr, b'F', text);
            } else {
                partial.extend_from_slice(text);
                let line = std::mem::take(partial);
                self.line(now, stderr, b'F', &line);
            }
            return;
        }
    }

    /// A line, if the container may still print.
    fn line(&mut self, now: &str, stderr: bool, tag: u8, text: &[u8]) {
        if !self.allowance.pay(text.len()) {
            return;
        }
        if let Some(words) = self.allowance.take_dropped() {
            self.push(now, true, b'F', words.as_bytes());
        }
        self.push(now, stderr, tag, text);
    }

    fn push(&mut self, now: &str, stderr: bool, tag: u8, text: &[u8]) {
        let stream: &[u8] = if stderr { b" stderr " } else { b" stdout " };
        self.scratch.extend_from_slice(now.as_bytes());
        self.scratch.extend_from_slice(stream);
        self.scratch.extend_from_slice(&[tag, b' ']);
        self.scratch.extend_from_slice(text);
        self.scratch.push(b'\n');
    }

    fn flush(&mut self, open_files: &Arc<Semaphore>) {
        let bytes = std::mem::take(&mut self.scratch);
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = self.segments.append(&bytes, &mut self.file)
            && !self.failed
        {
            self.failed = true;
            tracing::warn!(%error, "a container's output is lost, its log cannot be written");
        }
        if self.permit.is_none() {
            self.permit = open_files.clone().try_acquire_owned().ok();
        }
        if self.permit.is_none() {
            self.file = None;
        }
        // The room is kept only if it is small: most containers print little, and there are many.
        if bytes.capacity() <= 512 {
            self.scratch = bytes;
            self.scratch.clear();
        }
    }
}
