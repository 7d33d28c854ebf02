//! Listeners: a port, a bounded queue of connections that wait to be accepted, and who polls it.
//! A connection to a full queue waits (bounded by the connect timeout), as a kernel's would by
//! repeating its first segment.

use super::account::Account;
use super::error::NetError;
use super::limits::MAX_BACKLOG;
use super::ports::PortLease;
use super::tcp::{Conn, End, SocketOptions, establish};
use super::wakers::Wakers;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A TCP port that is bound and neither listens nor is connected yet. Dropping it frees the port.
pub struct TcpBinding {
    pub(super) lease: PortLease<Listener>,
}

impl TcpBinding {
    /// The bound address, with the port that was chosen.
    pub fn local(&self) -> SocketAddr {
        self.lease.address()
    }
}

/// A listening TCP socket. Dropping it closes it.
pub struct Listener {
    local: SocketAddr,
    account: Arc<Account>,
    state: Mutex<State>,
    /// Free places in the queue; who finds none waits here in turn.
    places: Semaphore,
}

struct State {
    queue: VecDeque<Conn>,
    pollers: Wakers,
    options: SocketOptions,
    /// `None` once closed.
    lease: Option<PortLease<Listener>>,
}

impl Listener {
    pub(super) fn open(
        account: Arc<Account>,
        lease: PortLease<Listener>,
        backlog: usize,
        options: SocketOptions,
    ) -> Result<Arc<Self>, NetError> {
        let local = lease.address();
        let listener = Arc::new(Self {
            local,
            account,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                pollers: Wakers::default(),
                options: options.bounded(),
                lease: Some(lease),
            }),
            places: Semaphore::new(backlog.clamp(1, MAX_BACKLOG)),
        });
        let me: Weak<Self> = Arc::downgrade(&listener);
        if let Some(lease) = &listener.state.lock().lease {
            lease.lead_to(&me)?;
        }
        Ok(listener)
    }

    /// The bound address; the wildcard address if that was bound.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The options that accepted connections inherit.
    pub fn options(&self) -> SocketOptions {
        self.state.lock().options
    }

    /// Sets the options that connections inherit from now on.
    pub fn set_options(&self, options: SocketOptions) {
        self.state.lock().options = options.bounded();
    }

    /// The next connection that waits; `None` is "wait" (see [`Listener::poll_acceptable`]).
    pub fn try_accept(&self) -> Result<Option<Conn>, NetError> {
        let mut state = self.state.lock();
        if let Some(conn) = state.queue.pop_front() {
            drop(state);
            self.places.add_permits(1);
            return Ok(Some(conn));
        }
        if state.lease.is_none() {
            return Err(NetError::Closed);
        }
        Ok(None)
    }

    /// Ready when a connection waits or the listener is closed. Several pollers may wait.
    pub fn poll_acceptable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.queue.is_empty() || state.lease.is_none() {
            return Poll::Ready(());
        }
        state.pollers.add(cx);
        Poll::Pending
    }

    /// Waits for the next connection.
    pub async fn accept(&self) -> Result<Conn, NetError> {
        loop {
            std::future::poll_fn(|cx| self.poll_acceptable(cx)).await;
            if let Some(conn) = self.try_accept()? {
                return Ok(conn);
            }
        }
    }

    /// Frees the port and resets what waits to be accepted; accepted connections stay.
    pub fn close(&self) {
        self.places.close();
        let (lease, queue, pollers) = {
            let mut state = self.state.lock();
            (
                state.lease.take(),
                std::mem::take(&mut state.queue),
                state.pollers.take(),
            )
        };
        drop(lease);
        for conn in &queue {
            conn.abort();
        }
        pollers.wake();
    }

    /// A place in the queue at once, if there is one.
    pub(super) fn try_place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// A place in the queue; fails when the listener is closed meanwhile.
    pub(super) async fn place(&self, to: SocketAddr) -> Result<SemaphorePermit<'_>, NetError> {
        let place = self.places.acquire().await;
        place.map_err(|_| NetError::Refused(to))
    }

    /// Connects `client` to this listener, which sees itself at `seen`.
    pub(super) fn offer(
        &self,
        place: SemaphorePermit<'_>,
        client: End,
        seen: SocketAddr,
    ) -> Result<Conn, NetError> {
        let to = client.peer;
        let server = End {
            account: self.account.clone(),
            local: seen,
            peer: client.local,
            options: self.options(),
            lease: None,
        };
        let (client, server) = establish(client, server)?;
        let pollers = {
            let mut state = self.state.lock();
            if state.lease.is_none() {
                return Err(NetError::Refused(to));
            }
            state.queue.push_back(server);
            state.pollers.take()
        };
        place.forget();
        self.account.counters.accepted.fetch_add(1, Relaxed);
        pollers.wake();
        Ok(client)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.local)
    }
}
