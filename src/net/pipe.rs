//! One direction of a connection: a bounded queue of byte chunks, handed over without copying.
//! The writer sees no room when the queue is full by bytes, by chunks, or by the reader's budget.
//! Must not know addresses.

use super::account::Account;
use super::limits::{CHUNK_OVERHEAD, GATHER_BELOW, GATHER_BUFFER, GUARANTEED_BYTES, MAX_CHUNKS};
use super::wakers::Wakers;
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

/// The reader is gone, or this side has said that it writes no more.
#[derive(Debug)]
pub(super) struct Shut;

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Popped {
    Data(Bytes),
    Empty,
    /// Nothing will come any more.
    End,
}

pub(super) struct Pipe {
    state: Mutex<State>,
    writer: Arc<Account>,
    reader: Arc<Account>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Small pieces that came while the reader lagged; they follow `chunks`.
    tail: BytesMut,
    /// Bytes in `chunks` and `tail`.
    len: usize,
    /// Of `capacity`: what the writer's send buffer and the reader's receive buffer give.
    send: usize,
    receive: usize,
    /// What the reader's budget is charged with for this queue.
    charged: usize,
    /// The writer has ended: what is queued is the rest.
    ended: bool,
    /// There is no reader: writing fails.
    gone: bool,
    /// The reader wants no more: what is written is thrown away.
    discarding: bool,
    readers: Wakers,
    writers: Wakers,
}

impl State {
    fn capacity(&self) -> usize {
        self.send + self.receive
    }

    fn pieces(&self) -> usize {
        self.chunks.len() + usize::from(!self.tail.is_empty())
    }

    fn room(&self, reader: &Account) -> usize {
        if self.discarding {
            return self.capacity();
        }
        if self.len == 0 {
            return self
                .capacity()
                .min(reader.budget.left().max(GUARANTEED_BYTES));
        }
        if self.pieces() >= MAX_CHUNKS {
            return 0;
        }
        let room = self.capacity().saturating_sub(self.len);
        room.min(reader.budget.left())
    }

    /// Whether `bytes` should be gathered with its neighbours rather than queued as it is.
    fn gathers(&self, bytes: usize) -> bool {
        bytes <= GATHER_BELOW && self.len > 0 && self.tail.len() + bytes <= GATHER_BUFFER
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.tail.capacity() < bytes.len() {
            self.tail.reserve(GATHER_BUFFER);
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.chunks.push_back(tail);
        }
        self.len += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Brings the reader's budget in line with what is queued.
    fn settle(&mut self, reader: &Account) {
        let due = self.len + self.pieces() * CHUNK_OVERHEAD;
        if due > self.charged {
            reader.budget.charge(due - self.charged);
        } else if due < self.charged {
            reader.budget.release(self.charged - due);
        }
        self.charged = due;
    }

    fn clear(&mut self, reader: &Account) {
        self.chunks = VecDeque::new();
        self.tail = BytesMut::new();
        self.len = 0;
        self.settle(reader);
    }

    /// Makes what was gathered the front when nothing is before it.
    fn refill(&mut self) {
        if self.chunks.is_empty() && !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.chunks.push_back(tail);
        }
    }

    /// The writers to wake after a read: when half is free, so that they do not run for crumbs.
    fn freed(&mut self) -> Option<Wakers> {
        (self.len <= self.capacity() / 2).then(|| self.writers.take())
    }
}

impl Pipe {
    pub(super) fn new(
        writer: Arc<Account>,
        reader: Arc<Account>,
        send: usize,
        receive: usize,
    ) -> Self {
        let state = State {
            send,
            receive,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            writer,
            reader,
        }
    }

    /// Takes from the front of `bytes` what there is room for; 0 is "wait".
    pub(super) fn write(&self, bytes: &mut Bytes) -> Result<usize, Shut> {
        self.write_with(bytes.len(), |state, count| {
            if state.gathers(count) {
                state.gather(bytes.get(..count).unwrap_or_default());
                bytes.advance(count);
            } else if count == bytes.len() {
                state.push(std::mem::take(bytes));
            } else {
                state.push(bytes.split_to(count));
            }
        })
    }

    /// Copies from the front of `bytes` what there is room for; 0 is "wait".
    pub(super) fn write_slice(&self, bytes: &[u8]) -> Result<usize, Shut> {
        self.write_with(bytes.len(), |state, count| {
            let taken = bytes.get(..count).unwrap_or_default();
            if state.gathers(count) {
                state.gather(taken);
            } else {
                state.push(Bytes::copy_from_slice(taken));
            }
        })
    }

    fn write_with(
        &self,
        wanted: usize,
        take: impl FnOnce(&mut State, usize),
    ) -> Result<usize, Shut> {
        let mut state = self.state.lock();
        if state.ended || state.gone {
            return Err(Shut);
        }
        let count = wanted.min(state.room(&self.reader));
        if count == 0 {
            return Ok(0);
        }
        take(&mut state, count);
        if state.discarding {
            state.clear(&self.reader);
        } else {
            state.settle(&self.reader);
        }
        let readers = state.readers.take();
        drop(state);
        self.writer
            .counters
            .sent_bytes
            .fetch_add(count as u64, Relaxed);
        self.reader
            .counters
            .received_bytes
            .fetch_add(count as u64, Relaxed);
        readers.wake();
        Ok(count)
    }

    /// Bytes that may be written now.
    pub(super) fn room(&self) -> Result<usize, Shut> {
        let state = self.state.lock();
        if state.ended || state.gone {
            return Err(Shut);
        }
        Ok(state.room(&self.reader))
    }

    /// Takes up to `max` bytes off the front, without copying.
    pub(super) fn read(&self, max: usize) -> Popped {
        let mut state = self.state.lock();
        state.refill();
        let Some(front) = state.chunks.front_mut() else {
            return if state.ended || state.discarding || state.gone {
                Popped::End
            } else {
                Popped::Empty
            };
        };
        let taken = if front.len() <= max {
            state.chunks.pop_front().unwrap_or_default()
        } else {
            front.split_to(max)
        };
        state.len -= taken.len();
        state.settle(&self.reader);
        let writers = state.freed();
        drop(state);
        if let Some(writers) = writers {
            writers.wake();
        }
        Popped::Data(taken)
    }

    /// The first bytes, left where they are.
    pub(super) fn peek(&self, max: usize) -> Popped {
        let mut state = self.state.lock();
        state.refill();
        match state.chunks.front() {
            Some(front) => Popped::Data(front.slice(..front.len().min(max))),
            None if state.ended || state.discarding || state.gone => Popped::End,
            None => Popped::Empty,
        }
    }

    /// Copies into `buffer` what fits; returns false when nothing was there and none will come.
    pub(super) fn read_into(&self, buffer: &mut ReadBuf<'_>) -> bool {
        let mut state = self.state.lock();
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            state.refill();
            let Some(front) = state.chunks.front_mut() else {
                break;
            };
            let count = front.len().min(buffer.remaining());
            buffer.put_slice(front.get(..count).unwrap_or_default());
            front.advance(count);
            if front.is_empty() {
                state.chunks.pop_front();
            }
            state.len -= count;
        }
        let copied = buffer.filled().len() - before;
        if copied == 0 {
            return !(state.len == 0 && (state.ended || state.discarding || state.gone));
        }
        state.settle(&self.reader);
        let writers = state.freed();
        drop(state);
        if let Some(writers) = writers {
            writers.wake();
        }
        true
    }

    /// Ready when a read would not say "empty".
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.len > 0 || state.ended || state.discarding || state.gone {
            return Poll::Ready(());
        }
        state.readers.add(cx);
        Poll::Pending
    }

    /// Ready when a write would not say "wait".
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.ended || state.gone || state.room(&self.reader) > 0 {
            return Poll::Ready(());
        }
        state.writers.add(cx);
        Poll::Pending
    }

    /// Ready when the reader has gone.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.gone {
            return Poll::Ready(());
        }
        state.writers.add(cx);
        Poll::Pending
    }

    /// The writer ends: what is queued is still delivered, then the end.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// The reader wants no more; the writer is not told.
    pub(super) fn discard(&self) {
        self.change(|state| {
            state.discarding = true;
            state.clear(&self.reader);
        });
    }

    /// The reader goes. `on_unread` runs, before anybody can see it, if it left data unread.
    pub(super) fn close_reader(&self, on_unread: impl FnOnce()) {
        self.change(|state| {
            if state.len > 0 {
                on_unread();
            }
            state.gone = true;
            state.clear(&self.reader);
        });
    }

    /// Both sides end at once. What is queued can still be read if `deliver`.
    pub(super) fn cut(&self, deliver: bool) {
        self.change(|state| {
            state.ended = true;
            state.gone = true;
            if !deliver {
                state.clear(&self.reader);
            }
        });
    }

    /// Changes the buffers: the writer's, the reader's.
    pub(super) fn resize(&self, send: Option<usize>, receive: Option<usize>) {
        self.change(|state| {
            state.send = send.unwrap_or(state.send);
            state.receive = receive.unwrap_or(state.receive);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let (readers, writers) = (state.readers.take(), state.writers.take());
        drop(state);
        readers.wake();
        writers.wake();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.clear(&self.reader);
    }
}
