//! The bounded queue between those who write and the one thread that commits. Must not know what
//! a commit is.

use crate::store::{Committed, StoreError, StoreOptions, Write};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Instant;
use tokio::sync::oneshot;

/// A write that waits, and where to answer.
pub(super) struct Request {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.write.key.len() + self.write.value.as_ref().map_or(0, |value| value.len())
    }
}

/// What the writer thread is to do next.
pub(super) enum Next {
    /// Commit these, which is at least one.
    Batch(Vec<Request>),
    /// The time has come that was waited for.
    Deadline,
    /// No request will come any more.
    Closed,
}

/// See the file's header.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    writes_max: usize,
    bytes_max: usize,
    batch_max: usize,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Request>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(options: &StoreOptions) -> Self {
        Self {
            inner: Mutex::default(),
            filled: Condvar::new(),
            writes_max: options.queue_writes_max,
            bytes_max: options.queue_bytes_max,
            batch_max: options.batch_writes_max.max(1),
        }
    }

    /// Adds a write, or fails with `Busy` or `Closed`. A write larger than the whole queue is
    /// taken when nothing else waits.
    pub(super) fn push(&self, request: Request) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(StoreError::Closed);
        }
        let bytes = inner.bytes + request.bytes();
        let full = inner.waiting.len() >= self.writes_max || bytes > self.bytes_max;
        if full && !inner.waiting.is_empty() {
            return Err(StoreError::Busy {
                limit: self.writes_max,
            });
        }
        inner.bytes = bytes;
        inner.waiting.push_back(request);
        drop(inner);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for writes and takes them, in order, as many as share a commit; or until `deadline`.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Next {
        let mut inner = self.inner.lock();
        loop {
            if !inner.waiting.is_empty() {
                let count = inner.waiting.len().min(self.batch_max);
                let batch: Vec<Request> = inner.waiting.drain(..count).collect();
                inner.bytes -= batch.iter().map(Request::bytes).sum::<usize>();
                return Next::Batch(batch);
            }
            if inner.closed {
                return Next::Closed;
            }
            match deadline {
                Some(deadline) => {
                    if self.filled.wait_until(&mut inner, deadline).timed_out()
                        && inner.waiting.is_empty()
                    {
                        return Next::Deadline;
                    }
                }
                None => self.filled.wait(&mut inner),
            }
        }
    }

    /// Writes that wait.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// Whether [`Queue::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Refuses further writes; what waits is still taken.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.filled.notify_one();
    }
}
