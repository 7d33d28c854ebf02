//! Those who are attached to a container: each has a bounded queue of what is printed from now on.
//! A guest waits while one of them is behind. Must not know what they do with it.

use crate::kubelet::runtime::OutputPiece;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Clients at one container.
const TAPS_MAX: usize = 16;
/// Bytes that wait for a client; a guest that asks for room waits beyond it.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// A client is cut off beyond this: who printed has not asked for room.
const BEHIND_BYTES_MAX: usize = 4 << 20;
/// Writers that wait for one client; more ask again.
const WRITERS_MAX: usize = 64;

#[derive(Default)]
struct Queue {
    pieces: VecDeque<OutputPiece>,
    bytes: usize,
    /// Nothing will follow.
    closed: bool,
    /// Nobody reads any more.
    gone: bool,
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

impl Queue {
    fn wake_writers(&mut self) {
        self.writers.drain(..).for_each(Waker::wake);
    }
}

type Shared = Arc<Mutex<Queue>>;

/// What one client has yet to read.
pub(in crate::kubelet) struct Tap(Shared);

impl Tap {
    /// The next piece; `None` when the container has ended.
    pub(in crate::kubelet) async fn next(&mut self) -> Option<OutputPiece> {
        std::future::poll_fn(|cx| {
            let mut queue = self.0.lock();
            if let Some((stderr, bytes)) = queue.pieces.pop_front() {
                queue.bytes -= bytes.len();
                if queue.bytes < WAITING_BYTES_MAX {
                    queue.wake_writers();
                }
                return Poll::Ready(Some((stderr, bytes)));
            }
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.gone = true;
        queue.pieces.clear();
        queue.wake_writers();
    }
}

/// The clients at one container.
#[derive(Default)]
pub(super) struct Taps(Mutex<Vec<Shared>>);

impl Taps {
    /// One more client; `None` if there are too many.
    pub(super) fn open(&self, closed: bool) -> Option<Tap> {
        let mut taps = self.0.lock();
        taps.retain(|tap| !tap.lock().gone);
        if taps.len() >= TAPS_MAX {
            return None;
        }
        let tap = Shared::default();
        tap.lock().closed = closed;
        if !closed {
            taps.push(tap.clone());
        }
        Some(Tap(tap))
    }

    /// Whether all clients take more; if not, `waker` is woken when it is worth asking again.
    pub(super) fn room(&self, waker: Option<&Waker>) -> bool {
        for tap in self.0.lock().iter() {
            let mut queue = tap.lock();
            if queue.gone || queue.bytes < WAITING_BYTES_MAX {
                continue;
            }
            if let Some(waker) = waker {
                if queue.writers.len() >= WRITERS_MAX {
                    queue.wake_writers();
                }
                queue.writers.push(waker.clone());
            }
            return false;
        }
        true
    }

    /// Gives what was printed to every client.
    pub(super) fn write(&self, stderr: bool, bytes: &[u8]) {
        let mut taps = self.0.lock();
        if taps.is_empty() || bytes.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        taps.retain(|tap| {
            let mut queue = tap.lock();
            if queue.bytes + bytes.len() > BEHIND_BYTES_MAX {
                queue.closed = true;
            }
            if !queue.gone && !queue.closed {
                queue.bytes += bytes.len();
                queue.pieces.push_back((stderr, bytes.clone()));
            }
            if let Some(reader) = queue.reader.take() {
                reader.wake();
            }
            !queue.gone && !queue.closed
        });
    }

    /// Nothing follows.
    pub(super) fn close(&self) {
        for tap in self.0.lock().drain(..) {
            let mut queue = tap.lock();
            queue.closed = true;
            queue.wake_writers();
            if let Some(reader) = queue.reader.take() {
                reader.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_has_all_and_a_guest_waits_for_it() {
        let taps = Taps::default();
        let mut tap = taps.open(false).unwrap();
        taps.write(false, b"one");
        taps.write(true, b"two");
        assert_eq!(tap.next().await.unwrap(), (false, Bytes::from("one")));
        assert!(taps.room(None));
        taps.write(false, &[7; WAITING_BYTES_MAX]);
        assert!(!taps.room(None));
        assert_eq!(tap.next().await.unwrap(), (true, Bytes::from("two")));
        assert!(!taps.room(None));
        tap.next().await.unwrap();
        assert!(taps.room(None));
        taps.write(false, &[7; WAITING_BYTES_MAX]);
        drop(tap);
        assert!(taps.room(None));
        let mut late = taps.open(false).unwrap();
        taps.close();
        assert_eq!(late.next().await, None);
        assert_eq!(taps.open(true).unwrap().next().await, None);
    }
}
