//! Datagram sockets: bounded queues that drop when they are full, as UDP does. Who may reach whom
//! is the fabric's business.

use super::account::Account;
use super::datagrams;
use super::error::NetError;
use super::limits::{
    CHUNK_OVERHEAD, MAX_BUFFER, MAX_DATAGRAM, MAX_QUEUED_DATAGRAM_BYTES, MAX_QUEUED_DATAGRAMS,
    MIN_BUFFER,
};
use super::outside::Outside;
use super::pod_net::PodNet;
use super::ports::PortLease;
use super::wakers::Wakers;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// A datagram and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The payload.
    pub bytes: Bytes,
    /// The sender.
    pub from: SocketAddr,
}

/// A bound UDP socket of a pod. Dropping it closes it.
pub struct UdpSocket {
    local: SocketAddr,
    account: Arc<Account>,
    pod: Weak<PodNet>,
    state: Mutex<State>,
}

struct State {
    queue: VecDeque<Datagram>,
    bytes: usize,
    receive_buffer: usize,
    peer: Option<SocketAddr>,
    /// A datagram to the connected peer found nobody; told once.
    refused: bool,
    pollers: Wakers,
    /// The kernel socket, once something was sent outside.
    outside: Option<Arc<Outside>>,
    /// `None` once closed.
    lease: Option<PortLease<UdpSocket>>,
}

impl UdpSocket {
    pub(super) fn open(
        pod: &Arc<PodNet>,
        lease: PortLease<UdpSocket>,
    ) -> Result<Arc<Self>, NetError> {
        let socket = Arc::new(Self {
            local: lease.address(),
            account: pod.account().clone(),
            pod: Arc::downgrade(pod),
            state: Mutex::new(State {
                queue: VecDeque::new(),
                bytes: 0,
                receive_buffer: MAX_QUEUED_DATAGRAM_BYTES,
                peer: None,
                refused: false,
                pollers: Wakers::default(),
                outside: None,
                lease: Some(lease),
            }),
        });
        let me = Arc::downgrade(&socket);
        if let Some(lease) = &socket.state.lock().lease {
            lease.lead_to(&me)?;
        }
        Ok(socket)
    }

    /// The bound address; when connected, the address that the peer sees.
    pub fn local(&self) -> SocketAddr {
        let peer = self.state.lock().peer;
        let seen = peer.and_then(|to| Some(self.pod.upgrade()?.source_for(self.local.ip(), to)));
        match seen {
            Some(Ok(ip)) => SocketAddr::new(ip, self.local.port()),
            _ => self.local,
        }
    }

    /// Whom the socket is connected to.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.state.lock().peer
    }

    /// Connects: datagrams go there when no destination is named, and only those from there are
    /// received; what waits from others is thrown away. `None` takes the connection back.
    pub fn connect(&self, peer: Option<SocketAddr>) -> Result<(), NetError> {
        if let Some(to) = peer {
            let pod = self.pod.upgrade().ok_or(NetError::Closed)?;
            pod.source_for(self.local.ip(), to)?;
        }
        let mut state = self.state.lock();
        state.peer = peer;
        state.refused = false;
        if let Some(peer) = peer {
            let queue = std::mem::take(&mut state.queue);
            for datagram in queue {
                if datagram.from == peer {
                    state.queue.push_back(datagram);
                } else {
                    state.forget(&datagram, &self.account);
                }
            }
        }
        Ok(())
    }

    /// The bytes of datagrams that may wait here.
    pub fn receive_buffer(&self) -> usize {
        self.state.lock().receive_buffer
    }

    /// Sets [`UdpSocket::receive_buffer`], within `MIN_BUFFER..=MAX_BUFFER`.
    pub fn set_receive_buffer(&self, bytes: usize) {
        self.state.lock().receive_buffer = bytes.clamp(MIN_BUFFER, MAX_BUFFER);
    }

    /// Sends to `to`, or to the connected peer. Never waits: what finds a full queue or nobody is
    /// dropped, but a connected socket learns at its next call that nobody is there (as by ICMP),
    /// and what a rule forbids is told at once.
    pub fn try_send_to(
        self: &Arc<Self>,
        bytes: Bytes,
        to: Option<SocketAddr>,
    ) -> Result<(), NetError> {
        if bytes.len() > MAX_DATAGRAM {
            return Err(NetError::MessageTooLong(bytes.len()));
        }
        let (peer, refused) = {
            let mut state = self.state.lock();
            if state.lease.is_none() {
                return Err(NetError::Closed);
            }
            (state.peer, std::mem::take(&mut state.refused))
        };
        let to = to.or(peer).ok_or(NetError::NotConnected)?;
        if refused {
            return Err(NetError::Refused(to));
        }
        let pod = self.pod.upgrade().ok_or(NetError::Closed)?;
        let length = bytes.len() as u64;
        let reached = datagrams::send(&pod, self, bytes, to)?;
        self.account.counters.sent_bytes.fetch_add(length, Relaxed);
        if !reached {
            self.nobody_at(to);
        }
        Ok(())
    }

    /// What was sent to `to` found nobody: a socket that is connected there is told.
    pub(super) fn nobody_at(&self, to: SocketAddr) {
        let mut state = self.state.lock();
        if state.peer == Some(to) {
            state.refused = true;
            let pollers = state.pollers.take();
            drop(state);
            pollers.wake();
        }
    }

    /// The next datagram; `None` is "wait" (see [`UdpSocket::poll_readable`]).
    pub fn try_recv_from(&self) -> Result<Option<Datagram>, NetError> {
        let mut state = self.state.lock();
        if let Some(datagram) = state.queue.pop_front() {
            state.forget(&datagram, &self.account);
            return Ok(Some(datagram));
        }
        if state.lease.is_none() {
            return Err(NetError::Closed);
        }
        if let Some(peer) = state.peer
            && std::mem::take(&mut state.refused)
        {
            return Err(NetError::Refused(peer));
        }
        Ok(None)
    }

    /// Ready when a datagram waits or an error is to be told. Several pollers may wait.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.queue.is_empty() || state.refused || state.lease.is_none() {
            return Poll::Ready(());
        }
        state.pollers.add(cx);
        Poll::Pending
    }

    /// Always ready: a datagram that finds no room is dropped.
    pub fn poll_writable(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Waits for the next datagram.
    pub async fn recv_from(&self) -> Result<Datagram, NetError> {
        loop {
            std::future::poll_fn(|cx| self.poll_readable(cx)).await;
            if let Some(datagram) = self.try_recv_from()? {
                return Ok(datagram);
            }
        }
    }

    /// Frees the port and throws away what waits.
    pub fn close(&self) {
        let (lease, outside, pollers) = {
            let mut state = self.state.lock();
            for datagram in std::mem::take(&mut state.queue) {
                state.forget(&datagram, &self.account);
            }
            let outside = state.outside.take();
            (state.lease.take(), outside, state.pollers.take())
        };
        drop(lease);
        drop(outside);
        pollers.wake();
    }

    /// Queues a datagram from `from`, or drops it.
    pub(super) fn deliver(&self, bytes: Bytes, from: SocketAddr) {
        let cost = bytes.len() + CHUNK_OVERHEAD;
        let mut state = self.state.lock();
        if state.lease.is_none() || state.peer.is_some_and(|peer| peer != from) {
            return;
        }
        let full = state.queue.len() >= MAX_QUEUED_DATAGRAMS
            || state.bytes + bytes.len() > state.receive_buffer.max(bytes.len())
            || self.account.budget.left() < cost;
        if full {
            drop(state);
            let dropped = &self.account.counters.dropped_datagrams;
            dropped.fetch_add(1, Relaxed);
            return;
        }
        state.bytes += bytes.len();
        self.account.budget.charge(cost);
        let received = &self.account.counters.received_bytes;
        received.fetch_add(bytes.len() as u64, Relaxed);
        state.queue.push_back(Datagram { bytes, from });
        let pollers = state.pollers.take();
        drop(state);
        pollers.wake();
    }

    /// The kernel socket of this one, if it has sent to the outside.
    pub(super) fn outside(&self) -> Option<Arc<Outside>> {
        self.state.lock().outside.clone()
    }

    /// Keeps `outside` as the kernel socket, unless another call was first or it is closed.
    pub(super) fn set_outside(&self, outside: Outside) -> Arc<Outside> {
        let outside = Arc::new(outside);
        let mut state = self.state.lock();
        if state.lease.is_none() {
            return outside;
        }
        state.outside.get_or_insert(outside).clone()
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn bound_ip(&self) -> IpAddr {
        self.local.ip()
    }

    pub(super) fn port(&self) -> u16 {
        self.local.port()
    }
}

impl State {
    fn forget(&mut self, datagram: &Datagram, account: &Account) {
        self.bytes -= datagram.bytes.len();
        account
            .budget
            .release(datagram.bytes.len() + CHUNK_OVERHEAD);
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UdpSocket({})", self.local)
    }
}
