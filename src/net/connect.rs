//! The way of a connect, in the order of execution: destination, source port, policy, fault, a
//! place in the listener's queue, the connection.

use super::egress;
use super::error::NetError;
use super::fabric::{Destination, Fabric};
use super::limits::CONNECT_TIMEOUT;
use super::listener::TcpBinding;
use super::pod_net::{PodNet, Stack, loopback};
use super::rules::Protocol;
use super::tcp::{Conn, End, SocketOptions};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How to connect.
#[derive(Default)]
pub struct ConnectOptions {
    /// The address and port to connect from; by default the pod's address and a free port.
    pub binding: Option<TcpBinding>,
    /// How long to wait for an answer; by default [`CONNECT_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// The socket's options.
    pub socket: SocketOptions,
}

/// The destination as a kernel understands it: the unspecified address is the loopback.
pub(super) fn normal(to: SocketAddr) -> Result<SocketAddr, NetError> {
    if to.port() == 0 {
        return Err(NetError::Invalid("port 0 is no destination"));
    }
    let ip = match to.ip() {
        ip if ip.is_unspecified() => loopback(ip),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            return Err(NetError::Invalid("IPv6 sockets reach IPv6 addresses only"));
        }
        ip => ip,
    };
    Ok(SocketAddr::new(ip, to.port()))
}

/// Whether no connection can lead there.
fn is_no_host(ip: IpAddr) -> bool {
    ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

pub(super) async fn from_pod(
    pod: &Arc<PodNet>,
    to: SocketAddr,
    options: ConnectOptions,
) -> Result<Conn, NetError> {
    let to = normal(to)?;
    if is_no_host(to.ip()) {
        return Err(NetError::NetworkUnreachable(to));
    }
    let fabric = pod.fabric()?;
    let timeout = options.timeout.unwrap_or(CONNECT_TIMEOUT);
    let (lease, source) = match options.binding {
        Some(binding) => {
            let source = pod.source_for(binding.local().ip(), to)?;
            (binding.lease, source)
        }
        None => {
            let source = pod.source(to)?;
            let lease = pod.stack().tcp.hold(SocketAddr::new(source, 0))?;
            (lease, source)
        }
    };
    let end = End {
        account: pod.account().clone(),
        local: SocketAddr::new(source, lease.address().port()),
        peer: to,
        options: options.socket.bounded(),
        lease: Some(lease),
    };
    if pod.is_own(to.ip()) {
        return to_listener(&fabric, pod.stack(), end, timeout).await;
    }
    let destination = fabric.resolve_destination(to);
    let target = match &destination {
        Destination::Pod(target) => Some(target.identity()),
        _ => None,
    };
    fabric.allow(Protocol::Tcp, Some(pod.identity()), source, target, to)?;
    faults(&fabric, source, to, timeout).await?;
    match destination {
        Destination::Pod(target) => to_listener(&fabric, target.stack(), end, timeout).await,
        Destination::Nowhere => Err(NetError::HostUnreachable(to)),
        Destination::Node => match fabric.door_at(Protocol::Tcp, to) {
            Some((target, at)) => {
                // The pod behind a host port sees itself at its own address.
                to_listener_at(&fabric, target.stack(), end, at, timeout).await
            }
            None => egress::connect_to_host(&fabric, pod, end, timeout).await,
        },
        Destination::Outside => egress::connect(&fabric, pod, end, timeout).await,
    }
}

/// Connects from the node, or from whom a host port let in (`seen` is its address then).
pub(super) async fn from_node(
    fabric: &Arc<Fabric>,
    seen: Option<SocketAddr>,
    to: SocketAddr,
    options: ConnectOptions,
) -> Result<Conn, NetError> {
    let to = normal(to)?;
    let timeout = options.timeout.unwrap_or(CONNECT_TIMEOUT);
    let Destination::Pod(target) = fabric.resolve_destination(to) else {
        return Err(NetError::HostUnreachable(to));
    };
    let (local, lease) = match seen {
        Some(seen) => (seen, None),
        None => {
            let node = SocketAddr::new(fabric.node_address_for(to.ip()), 0);
            let lease = fabric.node_stack().tcp.hold(node)?;
            (lease.address(), Some(lease))
        }
    };
    fabric.allow(Protocol::Tcp, None, local.ip(), Some(target.identity()), to)?;
    faults(fabric, local.ip(), to, timeout).await?;
    let end = End {
        account: fabric.node_stack().account.clone(),
        local,
        peer: to,
        options: options.socket.bounded(),
        lease,
    };
    to_listener(fabric, target.stack(), end, timeout).await
}

async fn faults(
    fabric: &Fabric,
    source: IpAddr,
    to: SocketAddr,
    timeout: Duration,
) -> Result<(), NetError> {
    let Some(fault) = fabric.faults().between(source, to.ip()) else {
        return Ok(());
    };
    if fault.partition || fault.connect_delay >= timeout {
        fabric.clock().sleep(timeout).await;
        return Err(NetError::TimedOut(to));
    }
    fabric.clock().sleep(fault.connect_delay).await;
    Ok(())
}

async fn to_listener(
    fabric: &Fabric,
    target: &Stack,
    end: End,
    timeout: Duration,
) -> Result<Conn, NetError> {
    let at = end.peer;
    to_listener_at(fabric, target, end, at, timeout).await
}

/// Connects to the listener that `at` reaches; `at` is also what the listener's side sees itself
/// as, while the client sees what it asked for.
async fn to_listener_at(
    fabric: &Fabric,
    target: &Stack,
    end: End,
    at: SocketAddr,
    timeout: Duration,
) -> Result<Conn, NetError> {
    let to = end.peer;
    let listener = target.tcp.find(at).ok_or(NetError::Refused(to))?;
    let place = match listener.try_place() {
        Some(place) => place,
        None => tokio::select! {
            place = listener.place(to) => place?,
            () = fabric.clock().sleep(timeout) => return Err(NetError::TimedOut(to)),
        },
    };
    listener.offer(place, end, at)
}
