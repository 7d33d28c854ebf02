//! The two byte streams of a connection as stock `wasi:io` wants them. The contract is
//! wasmtime-wasi-io's: an empty read is "would block", a closed stream is `Closed`, and a write
//! never exceeds the last permit.

use crate::net::{How, NetError, Read};
use crate::wasm_runtime::net_use::Stream;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Bytes that one read hands to the guest at most.
const READ_BYTES_MAX: usize = 64 << 10;

fn failed(error: NetError) -> StreamError {
    match error {
        // The guest, or the peer, has ended this direction: not a failure but the end.
        NetError::BrokenPipe | NetError::Closed => StreamError::Closed,
        error => StreamError::LastOperationFailed(wasmtime::Error::new(error)),
    }
}

pub(super) struct Input(pub(super) Arc<Stream>);

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|cx| self.0.poll_readable(cx)).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        match self.0.try_read_bytes(size.min(READ_BYTES_MAX)) {
            Ok(Read::Data(bytes)) => Ok(bytes),
            Ok(Read::WouldBlock) => Ok(Bytes::new()),
            Ok(Read::End) => Err(StreamError::Closed),
            Err(error) => Err(failed(error)),
        }
    }
}

pub(super) struct Output {
    stream: Arc<Stream>,
    permit: usize,
    /// What a write was permitted to take but the queue had no room for any more, because
    /// another connection used up the peer's budget meanwhile. It goes first.
    rest: Bytes,
}

impl Output {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            permit: 0,
            rest: Bytes::new(),
        }
    }

    /// Hands over the rest; true when nothing is left.
    fn settle(&mut self) -> StreamResult<bool> {
        if !self.rest.is_empty() {
            self.stream
                .try_write_bytes(&mut self.rest)
                .map_err(failed)?;
        }
        Ok(self.rest.is_empty())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.rest.is_empty() {
            return;
        }
        // What the guest was told to be written is written, after it has closed the socket too.
        let (stream, mut rest) = (self.stream.clone(), std::mem::take(&mut self.rest));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                while !rest.is_empty() && stream.try_write_bytes(&mut rest).is_ok() {
                    stream.writable().await;
                }
            });
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        loop {
            poll_fn(|cx| self.stream.poll_writable(cx)).await;
            // An error is told by the next call.
            if self.settle().unwrap_or(true) {
                return;
            }
        }
    }
}

impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.permit = if self.settle()? {
            self.stream.write_room().map_err(failed)?
        } else {
            0
        };
        Ok(self.permit)
    }

    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.permit {
            return Err(StreamError::trap(
                "write exceeds what check-write permitted",
            ));
        }
        self.permit -= bytes.len();
        if bytes.is_empty() {
            return Ok(());
        }
        if self.settle()? {
            self.stream.try_write_bytes(&mut bytes).map_err(failed)?;
            self.rest = bytes;
        } else {
            let mut rest = bytes::BytesMut::from(self.rest.as_ref());
            rest.extend_from_slice(&bytes);
            self.rest = rest.freeze();
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

/// Which direction a guest shuts down.
pub(super) fn how(receive: bool, send: bool) -> How {
    match (receive, send) {
        (true, false) => How::Read,
        (false, _) => How::Write,
        (true, true) => How::Both,
    }
}
