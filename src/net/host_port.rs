//! Doors into the cluster: real sockets of the host whose traffic is carried to a pod. A client
//! is known to the pod by its own address; one on the host's loopback as the node, because a pod
//! may trust its loopback.

use super::connect::{self, ConnectOptions};
use super::error::NetError;
use super::fabric::{Destination, Fabric};
use super::limits::{
    ACCEPT_PAUSE, DOOR_FLOW_IDLE, MAX_DATAGRAM, MAX_DOOR_CONNECTIONS, MAX_DOOR_FLOWS,
};
use super::pod_net::deliver;
use super::ports::PortLease;
use super::rules::Protocol;
use super::splice::splice;
use super::udp::UdpSocket;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
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
    /// `pod:container_port`. Only clients are refused while nobody listens there, the door stays.
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
        let wrong = |error: io::Error| NetError::HostPort {
            address,
            protocol: protocol.name(),
            kind: error.kind(),
            reason: reason(&error),
        };
        let door = Door {
            fabric: fabric.clone(),
            target,
        };
        let (local, task) = match protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(address).await.map_err(wrong)?;
                let local = listener.local_addr().map_err(wrong)?;
                (local, tokio::spawn(door.serve_tcp(listener)))
            }
            Protocol::Udp => {
                let socket = tokio::net::UdpSocket::bind(address).await.map_err(wrong)?;
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
                    let carried = carry(self.fabric.clone(), stream, client, self.target);
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
            let Some(seen) = flows.seen(client, &socket) else {
                continue;
            };
            let Destination::Pod(pod) = self.fabric.resolve_destination(self.target) else {
                continue;
            };
            let allowed = self.fabric.allow(
                Protocol::Udp,
                None,
                seen.ip(),
                Some(pod.identity()),
                self.target,
            );
            if allowed.is_ok() {
                let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                deliver(pod.stack(), bytes, seen, self.target);
            }
        }
    }
}

async fn carry(fabric: Arc<Fabric>, stream: TcpStream, client: SocketAddr, target: SocketAddr) {
    let seen = own_address(client, target);
    let options = ConnectOptions::default();
    match connect::from_node(&fabric, seen, target, options).await {
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
    by_client: HashMap<SocketAddr, DoorFlow>,
}

struct DoorFlow {
    seen: SocketAddr,
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
    fn seen(
        &mut self,
        client: SocketAddr,
        socket: &Arc<tokio::net::UdpSocket>,
    ) -> Option<SocketAddr> {
        let now = self.fabric.clock().instant();
        if let Some(flow) = self.by_client.get_mut(&client) {
            flow.last = now;
            return Some(flow.seen);
        }
        self.make_room(now);
        let (seen, lease) = match own_address(client, self.target) {
            Some(seen) => (seen, None),
            None => {
                let node = self.fabric.node_address_for(self.target.ip());
                let held = self.fabric.node_stack().udp.hold((node, 0).into());
                let lease = held.ok()?;
                (lease.address(), Some(lease))
            }
        };
        let answer = DoorAnswer {
            socket: socket.clone(),
            client,
        };
        self.fabric.add_door_flow(self.target, seen, answer);
        let flow = DoorFlow {
            seen,
            last: now,
            _lease: lease,
        };
        self.by_client.insert(client, flow);
        Some(seen)
    }

    /// Forgets who was quiet too long and, if still too many are there, who was quiet longest.
    fn make_room(&mut self, now: Instant) {
        if self.by_client.len() < MAX_DOOR_FLOWS {
            return;
        }
        let (fabric, target) = (&self.fabric, self.target);
        self.by_client.retain(|_, flow| {
            let keep = now.duration_since(flow.last) < DOOR_FLOW_IDLE;
            if !keep {
                fabric.remove_door_flow(target, flow.seen);
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
            self.fabric.remove_door_flow(self.target, flow.seen);
        }
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        for flow in self.by_client.values() {
            self.fabric.remove_door_flow(self.target, flow.seen);
        }
    }
}
