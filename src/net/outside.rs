//! Datagrams to and from the outside: one kernel socket for a pod's socket and family, which lets
//! in only what answers. Bounded; what does not fit is dropped.

use super::egress::SocketPermit;
use super::error::NetError;
use super::fabric::Fabric;
use super::limits::{MAX_DATAGRAM, MAX_OUTSIDE_PEERS};
use super::pod_net::PodNet;
use super::udp::UdpSocket;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::task::AbortHandle;

/// A pod's socket as the outside sees it.
pub(super) struct Outside {
    /// Sends without asking tokio, which would not know yet that a new socket is writable.
    sender: std::net::UdpSocket,
    peers: Arc<Mutex<Peers>>,
    receiver: AbortHandle,
    _permit: SocketPermit,
}

/// Failures in a row after which a kernel socket is not listened to any more: single ones are those
/// of datagrams that were sent (nobody there), which UDP does not promise to tell.
const MAX_RECEIVE_FAILURES: u32 = 16;

/// Whom the pod has sent to: the kernel's address and the one that the pod knows.
type Peers = VecDeque<(SocketAddr, SocketAddr)>;

/// The way to the outside, or (`node`) to a port of the host's loopback, if that is granted: the
/// socket and the kernel's address.
pub(super) fn way(
    fabric: &Fabric,
    pod: &PodNet,
    from: &Arc<UdpSocket>,
    to: SocketAddr,
    node: bool,
) -> Result<(Arc<Outside>, SocketAddr), NetError> {
    let known = from.outside();
    let known_at = known.as_ref().and_then(|known| known.peer_of(to));
    match (known, known_at) {
        (Some(known), Some(at)) => Ok((known, at)),
        (known, _) => {
            let at = if node {
                fabric.egress().permit_host(pod.identity(), to)?;
                SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()))
            } else {
                fabric.egress().permit(pod.identity(), to)?;
                to
            };
            let outside = match known {
                Some(known) => known,
                None => {
                    let permit = fabric.egress().socket(pod)?;
                    from.set_outside(open(from, permit).map_err(|error| wrong(to, &error))?)
                }
            };
            outside.remember(at, to);
            Ok((outside, at))
        }
    }
}

fn wrong(to: SocketAddr, error: &io::Error) -> NetError {
    NetError::outside(format!("datagram to {to}"), error)
}

fn open(from: &Arc<UdpSocket>, permit: SocketPermit) -> io::Result<Outside> {
    let handle = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
    let any: SocketAddr = if from.bound_ip().is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    let sender = socket.try_clone()?;
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let peers = Arc::default();
    let task = receive(socket, Arc::clone(&peers), Arc::downgrade(from));
    let receiver = handle.spawn(task).abort_handle();
    Ok(Outside {
        sender,
        peers,
        receiver,
        _permit: permit,
    })
}

async fn receive(socket: tokio::net::UdpSocket, peers: Arc<Mutex<Peers>>, to: Weak<UdpSocket>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut failures = 0;
    while failures < MAX_RECEIVE_FAILURES {
        let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
            failures += 1;
            continue;
        };
        failures = 0;
        let Some(to) = to.upgrade() else {
            return;
        };
        let seen = peers.lock().iter().find(|(at, _)| *at == from).copied();
        if let Some((_, seen)) = seen {
            let bytes = buffer.get(..count).unwrap_or_default();
            to.deliver(Bytes::copy_from_slice(bytes), seen);
        }
    }
}

impl Outside {
    /// Sends to `at`, which the pod knows as `to`.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        at: SocketAddr,
        to: SocketAddr,
    ) -> Result<(), NetError> {
        match self.sender.send_to(bytes, at) {
            Ok(_) => Ok(()),
            // The kernel's queue is full: datagrams may be lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(wrong(to, &error)),
        }
    }

    fn peer_of(&self, to: SocketAddr) -> Option<SocketAddr> {
        let peers = self.peers.lock();
        peers
            .iter()
            .find(|(_, seen)| *seen == to)
            .map(|(at, _)| *at)
    }

    fn remember(&self, at: SocketAddr, seen: SocketAddr) {
        let mut peers = self.peers.lock();
        peers.push_back((at, seen));
        if peers.len() > MAX_OUTSIDE_PEERS {
            peers.pop_front();
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}
