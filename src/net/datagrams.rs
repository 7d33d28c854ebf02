//! The way of a datagram, in the order of execution: destination, policy, fault, and then the
//! socket of a pod, a client of a host port, or the outside. What goes wrong under way is lost.

use super::connect::normal;
use super::error::NetError;
use super::fabric::{Destination, Fabric};
use super::host_port::DoorAnswer;
use super::outside::{self, Outside};
use super::pod_net::{PodNet, Stack};
use super::rules::Protocol;
use super::udp::UdpSocket;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The last part of the way, which nobody can refuse any more.
enum Leg {
    Pod(Weak<PodNet>),
    Door(DoorAnswer),
    Outside(Arc<Outside>, SocketAddr),
}

/// A datagram under way.
struct Sent {
    leg: Leg,
    bytes: Bytes,
    from: SocketAddr,
    to: SocketAddr,
}

/// Sends one datagram; says whether somebody was there to take it, as far as that can be known.
pub(super) fn send(
    pod: &Arc<PodNet>,
    socket: &Arc<UdpSocket>,
    bytes: Bytes,
    to: SocketAddr,
) -> Result<bool, NetError> {
    let to = normal(to)?;
    let source = pod.source_for(socket.bound_ip(), to)?;
    let from = SocketAddr::new(source, socket.port());
    if pod.is_own(to.ip()) {
        return Ok(deliver(pod.stack(), bytes, from, to));
    }
    let fabric = pod.fabric()?;
    let destination = fabric.resolve_destination(to);
    let target = match &destination {
        Destination::Pod(pod) => Some(pod.identity()),
        _ => None,
    };
    fabric.allow(Protocol::Udp, Some(pod.identity()), source, target, to)?;
    let fault = fabric.faults().between(source, to.ip()).unwrap_or_default();
    if fault.partition {
        return Ok(true);
    }
    let leg = match destination {
        Destination::Pod(target) if fault.datagram_delay.is_zero() => {
            return Ok(deliver(target.stack(), bytes, from, to));
        }
        Destination::Pod(target) => Leg::Pod(Arc::downgrade(&target)),
        // Nobody is there to say so: the datagram is lost.
        Destination::Nowhere => return Ok(true),
        Destination::Node | Destination::Outside => match fabric.door_answer(from, to) {
            Some(answer) => Leg::Door(answer),
            None => {
                let node = matches!(destination, Destination::Node);
                let (outside, at) = outside::way(&fabric, pod, socket, to, node)?;
                Leg::Outside(outside, at)
            }
        },
    };
    let sent = Sent {
        leg,
        bytes,
        from,
        to,
    };
    if fault.datagram_delay.is_zero() {
        return sent.arrive();
    }
    sent.arrive_in(fault.datagram_delay, &fabric, socket);
    Ok(true)
}

impl Sent {
    fn arrive(self) -> Result<bool, NetError> {
        match self.leg {
            // A pod that is gone meanwhile leaves nobody to say that nobody is there.
            Leg::Pod(pod) => Ok(pod
                .upgrade()
                .is_none_or(|pod| deliver(pod.stack(), self.bytes, self.from, self.to))),
            Leg::Door(answer) => {
                answer.send(&self.bytes);
                Ok(true)
            }
            Leg::Outside(outside, at) => outside.send(&self.bytes, at, self.to).map(|()| true),
        }
    }

    /// Arrives later, on a task of its own; is lost if too many are under way.
    fn arrive_in(self, delay: Duration, fabric: &Fabric, sender: &Arc<UdpSocket>) {
        let place = fabric.faults().place_under_way();
        let (Some(place), Ok(runtime)) = (place, tokio::runtime::Handle::try_current()) else {
            let counters = &sender.account().counters;
            counters.dropped_datagrams.fetch_add(1, Relaxed);
            return;
        };
        let clock = fabric.clock().clone();
        let sender = Arc::downgrade(sender);
        runtime.spawn(async move {
            clock.sleep(delay).await;
            let to = self.to;
            if let Ok(false) = self.arrive()
                && let Some(sender) = sender.upgrade()
            {
                sender.nobody_at(to);
            }
            drop(place);
        });
    }
}

/// Gives a datagram to the socket of `stack` that `to` reaches; `false` if there is none.
pub(super) fn deliver(stack: &Stack, bytes: Bytes, from: SocketAddr, to: SocketAddr) -> bool {
    let Some(socket) = stack.udp.find(to) else {
        return false;
    };
    socket.deliver(bytes, from);
    true
}
