//! Stream connections inside the process: two pipes and what each end needs to know. Must not
//! know who may reach whom.

use super::account::Account;
use super::error::NetError;
use super::limits::{DEFAULT_BUFFER, MAX_BUFFER, MIN_BUFFER};
use super::listener::Listener;
use super::pipe::{Pipe, Popped};
use super::ports::PortLease;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Options of a stream socket. Buffers bound what is under way; the others are kept for who asks
/// for them: there is no wire on which they would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes the socket may have under way, raised and lowered to `MIN_BUFFER..=MAX_BUFFER`.
    pub send_buffer: usize,
    /// Bytes that may wait for the socket to read them, within the same bounds.
    pub receive_buffer: usize,
    /// SO_KEEPALIVE.
    pub keep_alive: bool,
    /// TCP_KEEPIDLE.
    pub keep_alive_idle: Duration,
    /// TCP_KEEPINTVL.
    pub keep_alive_interval: Duration,
    /// TCP_KEEPCNT.
    pub keep_alive_count: u32,
    /// IP_TTL, IPV6_UNICAST_HOPS.
    pub hop_limit: u8,
    /// TCP_NODELAY: nothing is ever held back here, so it changes nothing.
    pub no_delay: bool,
}

impl Default for SocketOptions {
    /// A Linux kernel's defaults, but for the buffers, which are wkube's.
    fn default() -> Self {
        Self {
            send_buffer: DEFAULT_BUFFER,
            receive_buffer: DEFAULT_BUFFER,
            keep_alive: false,
            keep_alive_idle: Duration::from_secs(7_200),
            keep_alive_interval: Duration::from_secs(75),
            keep_alive_count: 9,
            hop_limit: 64,
            no_delay: false,
        }
    }
}

impl SocketOptions {
    /// The same with buffers within their bounds.
    pub(super) fn bounded(mut self) -> Self {
        self.send_buffer = self.send_buffer.clamp(MIN_BUFFER, MAX_BUFFER);
        self.receive_buffer = self.receive_buffer.clamp(MIN_BUFFER, MAX_BUFFER);
        self
    }
}

/// Which direction to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Throw away what comes; the peer is not told.
    Read,
    /// Write no more; the peer reads the rest, then the end.
    Write,
    /// Both.
    Both,
}

/// What a read without waiting found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes, never none.
    Data(Bytes),
    /// Nothing yet: see [`Conn::poll_readable`].
    WouldBlock,
    /// The peer has ended.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What both ends share.
pub(super) struct Link {
    to_server: Pipe,
    to_client: Pipe,
    /// An end has been reset and has not been told yet.
    client_reset: AtomicBool,
    server_reset: AtomicBool,
}

impl Link {
    /// The pipe that `side` writes.
    fn out(&self, side: Side) -> &Pipe {
        match side {
            Side::Client => &self.to_server,
            Side::Server => &self.to_client,
        }
    }

    /// The pipe that `side` reads.
    fn inward(&self, side: Side) -> &Pipe {
        match side {
            Side::Client => &self.to_client,
            Side::Server => &self.to_server,
        }
    }

    fn reset_of(&self, side: Side) -> &AtomicBool {
        match side {
            Side::Client => &self.client_reset,
            Side::Server => &self.server_reset,
        }
    }

    fn reset_of_peer(&self, side: Side) -> &AtomicBool {
        match side {
            Side::Client => &self.server_reset,
            Side::Server => &self.client_reset,
        }
    }

    /// `side` resets: the peer can read what has arrived, then is told.
    fn reset(&self, side: Side) {
        self.reset_of_peer(side).store(true, SeqCst);
        self.inward(side).cut(false);
        self.out(side).cut(true);
    }

    /// Both ends are reset: the pod at one of them is gone.
    pub(super) fn destroy(&self) {
        self.client_reset.store(true, SeqCst);
        self.server_reset.store(true, SeqCst);
        self.to_server.cut(true);
        self.to_client.cut(true);
    }

    /// `side` is closed in peace, which is a reset all the same if it left data unread.
    fn close(&self, side: Side) {
        let told = self.reset_of_peer(side);
        self.inward(side).close_reader(|| told.store(true, SeqCst));
        self.out(side).end();
    }
}

/// One end of a connection to be made.
pub(super) struct End {
    pub(super) account: Arc<Account>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) options: SocketOptions,
    /// The source port, held as long as the connection is.
    pub(super) lease: Option<PortLease<Listener>>,
}

/// One end of an established stream connection.
///
/// All calls take `&self`, so that an `Arc<Conn>` can be shared by the parts of a guest's socket.
/// Dropping it closes the connection: the peer reads what is under way and then the end, or is
/// reset if this end left data unread.
pub struct Conn {
    link: Arc<Link>,
    side: Side,
    account: Arc<Account>,
    number: u64,
    local: SocketAddr,
    peer: SocketAddr,
    options: Mutex<SocketOptions>,
    _lease: Option<PortLease<Listener>>,
}

/// Makes a connection of two ends.
pub(super) fn establish(client: End, server: End) -> Result<(Conn, Conn), NetError> {
    let pipe = |from: &End, to: &End| {
        Pipe::new(
            from.account.clone(),
            to.account.clone(),
            from.options.send_buffer,
            to.options.receive_buffer,
        )
    };
    let link = Arc::new(Link {
        to_server: pipe(&client, &server),
        to_client: pipe(&server, &client),
        client_reset: AtomicBool::new(false),
        server_reset: AtomicBool::new(false),
    });
    let client = Conn::enter(&link, Side::Client, client)?;
    // A server that is full refuses, whatever the cause.
    let refused = NetError::Refused(client.peer);
    let server = Conn::enter(&link, Side::Server, server).map_err(|_| refused)?;
    Ok((client, server))
}

impl Conn {
    fn enter(link: &Arc<Link>, side: Side, end: End) -> Result<Self, NetError> {
        let number = end.account.enter(link, side)?;
        Ok(Self {
            link: link.clone(),
            side,
            account: end.account,
            number,
            local: end.local,
            peer: end.peer,
            options: Mutex::new(end.options),
            _lease: end.lease,
        })
    }

    /// This end's address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer's address; known also when the peer has gone.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The options as they are in force.
    pub fn options(&self) -> SocketOptions {
        *self.options.lock()
    }

    /// Sets the options; buffers are brought within their bounds.
    pub fn set_options(&self, options: SocketOptions) {
        let options = options.bounded();
        let before = std::mem::replace(&mut *self.options.lock(), options);
        if before.send_buffer != options.send_buffer {
            self.outward().resize(Some(options.send_buffer), None);
        }
        if before.receive_buffer != options.receive_buffer {
            self.inward().resize(None, Some(options.receive_buffer));
        }
    }

    fn outward(&self) -> &Pipe {
        self.link.out(self.side)
    }

    fn inward(&self) -> &Pipe {
        self.link.inward(self.side)
    }

    /// Whether this end was reset and has not been told; tells it.
    fn take_reset(&self) -> bool {
        self.link.reset_of(self.side).swap(false, SeqCst)
    }

    fn shut_error(&self) -> NetError {
        if self.take_reset() {
            NetError::Reset
        } else {
            NetError::BrokenPipe
        }
    }

    fn end_or_reset(&self) -> Result<(), NetError> {
        if self.take_reset() {
            return Err(NetError::Reset);
        }
        Ok(())
    }

    /// Up to `max` bytes, handed over without copying. A reset is told once, after the data that
    /// came before it; then the connection is at its end.
    pub fn try_read_bytes(&self, max: usize) -> Result<Read, NetError> {
        self.found(self.inward().read(max.max(1)))
    }

    /// Up to `max` bytes that stay to be read (MSG_PEEK).
    pub fn try_peek_bytes(&self, max: usize) -> Result<Read, NetError> {
        self.found(self.inward().peek(max.max(1)))
    }

    fn found(&self, popped: Popped) -> Result<Read, NetError> {
        match popped {
            Popped::Data(bytes) => Ok(Read::Data(bytes)),
            Popped::Empty => Ok(Read::WouldBlock),
            Popped::End => self.end_or_reset().map(|()| Read::End),
        }
    }

    /// Bytes that a write would take now; 0 is "wait". Another connection of the peer's pod may
    /// use up its budget in between, so a write of as much may take less.
    pub fn write_room(&self) -> Result<usize, NetError> {
        self.outward().room().map_err(|_| self.shut_error())
    }

    /// Takes from the front of `bytes` what there is room for and returns how much; 0 is "wait"
    /// (see [`Conn::poll_writable`]) unless `bytes` is empty.
    pub fn try_write_bytes(&self, bytes: &mut Bytes) -> Result<usize, NetError> {
        self.outward().write(bytes).map_err(|_| self.shut_error())
    }

    /// As [`Conn::try_write_bytes`], copying.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, NetError> {
        self.outward()
            .write_slice(bytes)
            .map_err(|_| self.shut_error())
    }

    /// Ready when a read would not say [`Read::WouldBlock`]. Several pollers may wait.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inward().poll_readable(cx)
    }

    /// Ready when a write would take something or fail. Several pollers may wait.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outward().poll_writable(cx)
    }

    /// Ready when the peer has closed its end altogether or reset it.
    pub(super) fn poll_peer_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outward().poll_gone(cx)
    }

    /// Whether this end was reset and has not been told by a read or a write.
    pub(super) fn was_reset(&self) -> bool {
        self.link.reset_of(self.side).load(SeqCst)
    }

    /// Waits until [`Conn::poll_readable`] is ready.
    pub async fn readable(&self) {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Waits until [`Conn::poll_writable`] is ready.
    pub async fn writable(&self) {
        std::future::poll_fn(|cx| self.poll_writable(cx)).await;
    }

    /// Shuts down one direction or both; may be repeated.
    pub fn shutdown(&self, how: How) {
        if how != How::Write {
            self.inward().discard();
        }
        if how != How::Read {
            self.outward().end();
        }
    }

    /// Resets the connection, as closing a kernel's socket with a linger time of 0 does.
    pub fn abort(&self) {
        self.link.reset(self.side);
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.link.close(self.side);
        self.account.leave(self.number);
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conn({} -> {})", self.local, self.peer)
    }
}

impl AsyncRead for &Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(cx));
        if buffer.remaining() == 0 || self.inward().read_into(buffer) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.end_or_reset().map_err(io::Error::from))
    }
}

impl AsyncWrite for &Conn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let taken = self.try_write(bytes)?;
            if taken > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            ready!(self.poll_writable(cx));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outward().end();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_shutdown(cx)
    }
}
