//! What one container does with its pod's network: the listeners it opened and the connections it
//! serves, so that it can be drained without touching its neighbours in the pod. Must not know
//! which WASI the guest speaks.

use crate::net::{Conn, Listener, NetError, PodNet, SocketOptions, TcpBinding};
use parking_lot::Mutex;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// One container's share of a pod's network.
pub(super) struct NetUse {
    net: Arc<PodNet>,
    draining: AtomicBool,
    listeners: Mutex<Vec<Weak<Listener>>>,
    serving: AtomicUsize,
    ended: Notify,
}

impl NetUse {
    pub(super) fn new(net: Arc<PodNet>) -> Arc<Self> {
        Arc::new(Self {
            net,
            draining: AtomicBool::new(false),
            listeners: Mutex::new(Vec::new()),
            serving: AtomicUsize::new(0),
            ended: Notify::new(),
        })
    }

    /// The pod's stack.
    pub(super) fn net(&self) -> &Arc<PodNet> {
        &self.net
    }

    /// Listens on what was bound. A container that is being stopped opens no listener any more.
    pub(super) fn listen(
        &self,
        binding: TcpBinding,
        backlog: usize,
        options: SocketOptions,
    ) -> Result<Arc<Listener>, NetError> {
        if self.is_draining() {
            return Err(NetError::Closed);
        }
        let listener = self.net.listen_on(binding, backlog, options)?;
        let mut listeners = self.listeners.lock();
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        Ok(listener)
    }

    /// The next connection that waits. While the container is drained there is none, and no
    /// error either: a guest that learns of a closed listener would only report a failure.
    pub(super) fn try_accept(
        self: &Arc<Self>,
        listener: &Listener,
    ) -> Result<Option<Stream>, NetError> {
        if self.is_draining() {
            return Ok(None);
        }
        Ok(listener.try_accept()?.map(|conn| self.serve(conn)))
    }

    /// Ready when [`NetUse::try_accept`] has something to say.
    pub(super) fn poll_acceptable(&self, listener: &Listener, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_draining() {
            return Poll::Pending;
        }
        match listener.poll_acceptable(cx) {
            Poll::Ready(()) if self.is_draining() => Poll::Pending,
            polled => polled,
        }
    }

    /// Counts `conn` as served until it is dropped.
    pub(super) fn serve(self: &Arc<Self>, conn: Conn) -> Stream {
        self.serving.fetch_add(1, SeqCst);
        Stream {
            conn,
            served: Some(self.clone()),
        }
    }

    /// Closes the container's listeners for good.
    pub(super) fn drain(&self) {
        self.draining.store(true, SeqCst);
        let listeners = std::mem::take(&mut *self.listeners.lock());
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.close();
        }
        self.ended.notify_waiters();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Waits until no accepted connection is open.
    pub(super) async fn unused(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.serving.load(SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A connection of a container's.
pub(super) struct Stream {
    conn: Conn,
    served: Option<Arc<NetUse>>,
}

impl Stream {
    /// A connection that the container opened.
    pub(super) fn opened(conn: Conn) -> Self {
        Self { conn, served: None }
    }
}

impl Deref for Stream {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(net) = &self.served
            && net.serving.fetch_sub(1, SeqCst) == 1
        {
            net.ended.notify_waiters();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut &self.conn).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut &self.conn).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut &self.conn).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut &self.conn).poll_shutdown(cx)
    }
}
