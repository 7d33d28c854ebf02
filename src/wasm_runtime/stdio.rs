//! A container's standard streams: output goes to a sink of the caller's, input comes from a
//! bounded pipe that can be closed. Must not know where logs are kept.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Bytes of standard input that wait for the guest at most; a writer waits beyond it.
pub const STDIN_BYTES_MAX: usize = 64 << 10;
/// Bytes that a guest may write to its output in one call.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// Readers that wait for input at once; a guest has no use for more.
const READERS_MAX: usize = 64;

/// Where a container's output goes. Called on the guests' threads, whole writes in order; it must
/// not block for long. A slow sink slows down its own guest alone.
pub trait OutputSink: Send + Sync {
    /// Takes what the guest wrote: any bytes, not lines.
    fn write(&self, bytes: &[u8]);

    /// Whether it takes more now; if not, the guest waits until `waker` is woken.
    fn room(&self, _waker: Option<&Waker>) -> bool {
        true
    }
}

/// Throws everything away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl OutputSink for NullSink {
    fn write(&self, _bytes: &[u8]) {}
}

/// Standard output or error as WASI sees it.
#[derive(Clone)]
pub(super) struct Output(pub(super) Arc<dyn OutputSink>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if !self.0.room(Some(cx.waker())) {
            return Poll::Pending;
        }
        let taken = bytes.get(..WRITE_BYTES_MAX).unwrap_or(bytes);
        self.0.write(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| match self.0.room(Some(cx.waker())) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.0.room(None) {
            WRITE_BYTES_MAX
        } else {
            0
        })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES_MAX {
            return Err(StreamError::trap(
                "write exceeds what check-write permitted",
            ));
        }
        if !bytes.is_empty() {
            self.0.write(&bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    readers: Vec<Waker>,
    writers: Vec<Waker>,
}

/// The pipe behind standard input. Clones are ends of the same pipe.
#[derive(Clone, Default)]
pub(super) struct Input(Arc<Mutex<Queue>>);

impl Input {
    /// An input that is at its end.
    pub(super) fn closed() -> Self {
        let input = Self::default();
        input.close();
        input
    }

    /// Ends the input: the guest reads what waits, then the end.
    pub(super) fn close(&self) {
        let (readers, writers) = {
            let mut queue = self.0.lock();
            queue.closed = true;
            (
                std::mem::take(&mut queue.readers),
                std::mem::take(&mut queue.writers),
            )
        };
        readers.into_iter().chain(writers).for_each(Waker::wake);
    }

    /// Ready when a read would not wait.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.0.lock();
        if queue.bytes > 0 || queue.closed {
            return Poll::Ready(());
        }
        if queue.readers.len() >= READERS_MAX {
            // The oldest may ask again.
            queue.readers.remove(0).wake();
        }
        queue.readers.push(cx.waker().clone());
        Poll::Pending
    }

    /// Up to `max` bytes; empty is "nothing yet", none is the end.
    fn pop(&self, max: usize) -> Option<Bytes> {
        let (bytes, writers) = {
            let mut queue = self.0.lock();
            let Some(front) = queue.chunks.front_mut() else {
                return (!queue.closed).then(Bytes::new);
            };
            let bytes = front.split_to(max.min(front.len()));
            if front.is_empty() {
                queue.chunks.pop_front();
            }
            queue.bytes -= bytes.len();
            (bytes, std::mem::take(&mut queue.writers))
        };
        writers.into_iter().for_each(Waker::wake);
        Some(bytes)
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::task::ready!(self.poll_readable(cx));
        if let Some(bytes) = self.pop(into.remaining()) {
            into.put_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        self.pop(size).ok_or(StreamError::Closed)
    }
}

/// Writes to a container's standard input. Dropping it does not end the input: [`close`] does.
///
/// [`close`]: StdinWriter::close
#[derive(Clone)]
pub struct StdinWriter(pub(super) Input);

impl StdinWriter {
    /// Writes all of `bytes`, waiting while the guest does not read. An input that has ended is
    /// `BrokenPipe`.
    pub async fn write_all(&self, mut bytes: Bytes) -> std::io::Result<()> {
        while !bytes.is_empty() {
            std::future::poll_fn(|cx| self.poll_push(cx, &mut bytes)).await?;
        }
        Ok(())
    }

    /// Ends the input.
    pub fn close(&self) {
        self.0.close();
    }

    fn poll_push(&self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<std::io::Result<()>> {
        let readers = {
            let mut queue = self.0.0.lock();
            if queue.closed {
                return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
            }
            let room = STDIN_BYTES_MAX - queue.bytes.min(STDIN_BYTES_MAX);
            if room == 0 {
                if queue.writers.len() >= READERS_MAX {
                    queue.writers.remove(0).wake();
                }
                queue.writers.push(cx.waker().clone());
                return Poll::Pending;
            }
            let chunk = bytes.split_to(room.min(bytes.len()));
            queue.bytes += chunk.len();
            queue.chunks.push_back(chunk);
            std::mem::take(&mut queue.readers)
        };
        readers.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn input_is_bounded_ordered_and_ends() {
        let input = Input::default();
        let writer = StdinWriter(input.clone());
        writer
            .write_all(Bytes::from_static(b"hello"))
            .await
            .unwrap();
        let big = Bytes::from(vec![7; STDIN_BYTES_MAX]);
        let pending = tokio::spawn(async move {
            writer.write_all(big).await.unwrap();
            writer.close();
            writer.write_all(Bytes::from_static(b"late")).await
        });
        let mut reader = input.clone();
        assert_eq!(InputStream::read(&mut reader, 5).unwrap(), "hello");
        let mut total = 0;
        while let Ok(bytes) = InputStream::read(&mut reader, 4096) {
            total += bytes.len();
            if bytes.is_empty() {
                reader.ready().await;
            }
        }
        assert_eq!(total, STDIN_BYTES_MAX);
        let late = pending.await.unwrap().unwrap_err();
        assert_eq!(late.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
