//! Doors into the cluster: real sockets of the host whose traffic is carried to a pod. A client
//! is known to the pod by its own address; one on the host's loopback as the node, because a pod
//! may trust its loopback.

use super::connect::{self, ConnectOptions};
use super::datagrams::deliver;
use super::error::NetError;
use super::fabric::{Destination, Fabric};
use super::limits::{
    ACCEPT_PAUSE, DOOR_FLOW_IDLE, MAX_DATAGRAM, MAX_DOOR_CONNECTIONS, MAX_DOOR_FLOWS,
};
use super::ports::PortLease;
use super::rules::Protocol;
use super::splice::splice;
use super::udp::UdpSocket;
use bytes::Bytes;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Opens doors.
pub struct HostPorts;

/// An open door. Dropping it closes the port; connections that went through it stay.
pub struct HostPort {
    fabric: Arc<Fabric>,
    protocol: Protocol,
    local: SocketAddr,
    target: SocketAddr,
    task: AbortHandle,
}

impl HostPorts {
    /// Opens `host_ip:host_port` (port 0 takes a free one) and carries what comes to
    /// `pod:container_port`, or where nobody is at that address of the pod, to its address of the
    /// other family. Only clients are refused while nobody listens there, the door stays. A door
    /// of an IPv6 address lets in no IPv4.
    pub async fn bind(
        fabric: &Arc<Fabric>,
        host_ip: IpAddr,
        host_port: u16,
        protocol: Protocol,
        pod: IpAddr,
        container_port: u16,
    ) -> Result<HostPort, NetError> {
        let address = SocketAddr::new(host_ip, host_port);
        let target = SocketAddr::new(pod, container_port);
        let other = other_family(fabric, target);
        let wrong = |error: io::Error| NetError::HostPort {
            address,
            protocol: protocol.name(),
            kind: error.kind(),
            reason: reason(&error),
        };
        let door = Door {
            fabric: fabric.clone(),
            target,
            other,
        };
        let (local, task) = match protocol {
            Protocol::Tcp => {
                let listener = listen(address).await.map_err(wrong)?;
                let local = listener.local_addr().map_err(wrong)?;
                (local, tokio::spawn(door.serve_tcp(listener)))
            }
            Protocol::Udp => {
                let socket = bind_udp(address).await.map_err(wrong)?;
                let local = socket.local_addr().map_err(wrong)?;
                (local, tokio::spawn(door.serve_udp(Arc::new(socket))))
            }
        };
        if !local.ip().is_loopback() {
            fabric.add_door(protocol, local.port(), target);
        }
        Ok(HostPort {
            fabric: fabric.clone(),
            protocol,
            local,
            target,
            task: task.abort_handle(),
        })
    }
}

/// The same port at the pod's address of the other family.
fn other_family(fabric: &Fabric, target: SocketAddr) -> Option<SocketAddr> {
    let Destination::Pod(pod) = fabric.resolve_destination(target) else {
        return None;
    };
    let mut all = pod.addresses().iter();
    let other = all.find(|ip| ip.is_ipv4() != target.is_ipv4());
    other.map(|ip| SocketAddr::new(*ip, target.port()))
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.is_ipv4() {
        return TcpListener::bind(address).await;
    }
    let socket = TcpSocket::new_v6()?;
    rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn bind_udp(address: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    if address.is_ipv4() {
        return tokio::net::UdpSocket::bind(address).await;
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
    rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    tokio::net::UdpSocket::from_std(socket.into())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it".to_owned(),
        io::ErrorKind::AddrNotAvailable => "the host has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "the user may not open it (ports below 1024 need a privilege)".to_owned()
        }
        _ => error.to_string(),
    }
}

impl HostPort {
    /// The host's address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        self.task.abort();
        self.fabric
            .remove_door(self.protocol, self.local.port(), self.target);
    }
}

struct Door {
    fabric: Arc<Fabric>,
    target: SocketAddr,
    /// Where to go if nobody is at the target.
    other: Option<SocketAddr>,
}

impl Door {
    async fn serve_tcp(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_DOOR_CONNECTIONS));
        loop {
            let (Ok(place), Ok(share)) = (
                places.clone().acquire_owned().await,
                self.fabric.door_places().clone().acquire_owned().await,
            ) else {
                return;
            };
            match listener.accept().await {
                Ok((stream, client)) => {
                    let targets = (self.target, self.other);
                    let carried = carry(self.fabric.clone(), stream, client, targets);
                    tokio::spawn(async move {
                        carried.await;
                        drop((place, share));
                    });
                }
                Err(error) => {
                    tracing::warn!(target = %self.target, %error, "a host port cannot accept");
                    self.fabric.clock().sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_udp(self, socket: Arc<tokio::net::UdpSocket>) {
        let mut flows = Flows {
            fabric: self.fabric.clone(),
            target: self.target,
            other: self.other,
            by_client: HashMap::new(),
        };
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let (count, client) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(target = %self.target, %error, "a host port cannot receive");
                    self.fabric.clock().sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some((seen, target)) = flows.seen(client, &socket) else {
                continue;
            };
            let Destination::Pod(pod) = self.fabric.resolve_destination(target) else {
                continue;
            };
            let allowed =
                self.fabric
                    .allow(Protocol::Udp, None, seen.ip(), Some(pod.identity()), target);
            if allowed.is_ok() {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                deliver(pod.stack(), bytes, seen, target);
            }
        }
    }
}

async fn carry(
    fabric: Arc<Fabric>,
    stream: TcpStream,
    client: SocketAddr,
    (target, other): (SocketAddr, Option<SocketAddr>),
) {
    let connect = async |target| {
        let seen = own_address(client, target);
        connect::from_node(&fabric, seen, target, ConnectOptions::default()).await
    };
    let connected = match (connect(target).await, other) {
        (Err(NetError::Refused(_)), Some(other)) => connect(other).await,
        (connected, _) => connected,
    };
    match connected {
        Ok(conn) => splice(conn, stream, fabric.clock().clone()).await,
        Err(error) => {
            tracing::debug!(%client, %target, %error, "a host port's client is refused");
            // A reset tells the client that nobody is there, as a refused connection would have.
            let _ = stream.set_zero_linger();
        }
    }
}

/// The address by which the pod knows `client`; `None` is the node's.
fn own_address(client: SocketAddr, target: SocketAddr) -> Option<SocketAddr> {
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    (!client.ip().is_loopback() && client.is_ipv4() == target.is_ipv4()).then_some(client)
}

/// The clients of a UDP door, and what the pod knows them as.
struct Flows {
    fabric: Arc<Fabric>,
    target: SocketAddr,
    other: Option<SocketAddr>,
    by_client: HashMap<SocketAddr, DoorFlow>,
}

struct DoorFlow {
    seen: SocketAddr,
    target: SocketAddr,
    last: Instant,
    _lease: Option<PortLease<UdpSocket>>,
}

/// Where the answers of a pod to a client of a UDP door go.
#[derive(Clone)]
pub(super) struct DoorAnswer {
    socket: Arc<tokio::net::UdpSocket>,
    client: SocketAddr,
}

impl DoorAnswer {
    pub(super) fn send(&self, bytes: &[u8]) {
        // What the kernel has no room for is lost, as datagrams may be.
        let _ = self.socket.try_send_to(bytes, self.client);
    }
}

impl Flows {
    /// Where to go: the other address if only that one is listened at.
    fn choose(&self) -> SocketAddr {
        let listens = |target: SocketAddr| match self.fabric.resolve_destination(target) {
            Destination::Pod(pod) => pod.stack().udp.find(target).is_some(),
            _ => false,
        };
        let other = self.other.filter(|other| listens(*other));
        other
            .filter(|_| !listens(self.target))
            .unwrap_or(self.target)
    }

    /// As whom the pod knows a client, and at which of its addresses.
    fn seen(
        &mut self,
        client: SocketAddr,
        socket: &Arc<tokio::net::UdpSocket>,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let now = self.fabric.clock().instant();
        if let Some(flow) = self.by_client.get_mut(&client) {
            flow.last = now;
            return Some((flow.seen, flow.target));
        }
        let target = self.choose();
        self.make_room(now);
        let (seen, lease) = match own_address(client, target) {
            Some(seen) => (seen, None),
            None => {
                let node = self.fabric.node_address_for(target.ip());
                let held = self.fabric.node_stack().udp.hold((node, 0).into());
                let lease = held.ok()?;
                (lease.address(), Some(lease))
            }
        };
        let answer = DoorAnswer {
            socket: socket.clone(),
            client,
        };
        self.fabric.add_door_flow(target, seen, answer);
        let flow = DoorFlow {
            seen,
            target,
            last: now,
            _lease: lease,
        };
        self.by_client.insert(client, flow);
        Some((seen, target))
    }

    /// Forgets who was quiet too long and, if still too many are there, who was quiet longest.
    fn make_room(&mut self, now: Instant) {
        if self.by_client.len() < MAX_DOOR_FLOWS {
            return;
        }
        let fabric = &self.fabric;
        self.by_client.retain(|_, flow| {
            let keep = now.duration_since(flow.last) < DOOR_FLOW_IDLE;
            if !keep {
                fabric.remove_door_flow(flow.target, flow.seen);
            }
            keep
        });
        if self.by_client.len() < MAX_DOOR_FLOWS {
            return;
        }
        let quiet = self.by_client.iter().min_by_key(|(_, flow)| flow.last);
        if let Some(client) = quiet.map(|(client, _)| *client)
            && let Some(flow) = self.by_client.remove(&client)
        {
            self.fabric.remove_door_flow(flow.target, flow.seen);
        }
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        for flow in self.by_client.values() {
            self.fabric.remove_door_flow(flow.target, flow.seen);
        }
    }
}
