//! One pod's stack: its addresses, its loopback, its ports. The containers of a pod share it.

use super::account::Account;
use super::budget::{BufferBudget, NetStats};
use super::connect::{self, ConnectOptions};
use super::error::NetError;
use super::fabric::Fabric;
use super::limits::{MAX_CONNECTIONS, MAX_LISTENERS, MAX_UDP_SOCKETS};
use super::listener::{Listener, TcpBinding};
use super::ports::{PortLease, PortTable};
use super::rules::PodIdentity;
use super::tcp::{Conn, SocketOptions};
use super::udp::UdpSocket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use tokio::sync::Semaphore;

/// Ports and what they cost: of a pod, or of the node itself.
pub(super) struct Stack {
    pub(super) account: Arc<Account>,
    pub(super) tcp: Arc<PortTable<Listener>>,
    pub(super) udp: Arc<PortTable<UdpSocket>>,
}

impl Stack {
    pub(super) fn new(budget: Arc<BufferBudget>, max_connections: usize) -> Self {
        let max_ports = max_connections + MAX_LISTENERS;
        Self {
            account: Account::new(budget, max_connections),
            tcp: PortTable::new(max_ports, MAX_LISTENERS, "listeners"),
            udp: PortTable::new(MAX_UDP_SOCKETS, MAX_UDP_SOCKETS, "sockets"),
        }
    }
}

/// One pod on the network.
pub struct PodNet {
    identity: PodIdentity,
    addresses: Vec<IpAddr>,
    stack: Stack,
    /// Kernel sockets that the pod may have outside the cluster.
    outside: Arc<Semaphore>,
    fabric: Weak<Fabric>,
}

impl PodNet {
    pub(super) fn new(
        identity: PodIdentity,
        addresses: Vec<IpAddr>,
        budget: Arc<BufferBudget>,
        outside: usize,
        fabric: Weak<Fabric>,
    ) -> Arc<Self> {
        Arc::new(Self {
            identity,
            addresses,
            stack: Stack::new(budget, MAX_CONNECTIONS),
            outside: Arc::new(Semaphore::new(outside)),
            fabric,
        })
    }

    /// Who the pod is.
    pub fn identity(&self) -> &PodIdentity {
        &self.identity
    }

    /// The pod's addresses, the primary one first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The pod's host name: its name without the namespace.
    pub fn hostname(&self) -> &str {
        let name = &self.identity.name;
        name.rsplit_once('/').map_or(name, |(_, name)| name)
    }

    /// Binds a TCP port without using it yet; port 0 takes a free one.
    pub fn tcp_bind(&self, address: SocketAddr) -> Result<TcpBinding, NetError> {
        Ok(TcpBinding {
            lease: self.hold(&self.stack.tcp, address)?,
        })
    }

    /// Binds `address` and listens there with a queue of `backlog` connections.
    pub fn listen(&self, address: SocketAddr, backlog: usize) -> Result<Arc<Listener>, NetError> {
        self.listen_on(self.tcp_bind(address)?, backlog, SocketOptions::default())
    }

    /// Listens on what was bound; accepted connections inherit `options`.
    pub fn listen_on(
        &self,
        binding: TcpBinding,
        backlog: usize,
        options: SocketOptions,
    ) -> Result<Arc<Listener>, NetError> {
        Listener::open(self.stack.account.clone(), binding.lease, backlog, options)
    }

    /// Connects to `to`: an address of this pod, of another pod, or of the outside if the egress
    /// policy allows it. In-process connections are made at the first poll.
    pub fn connect(
        self: &Arc<Self>,
        to: SocketAddr,
        options: ConnectOptions,
    ) -> impl Future<Output = Result<Conn, NetError>> + Send + use<> {
        let pod = self.clone();
        async move {
            let made = connect::from_pod(&pod, to, options).await;
            let counters = &pod.account().counters;
            let counter = if made.is_ok() {
                &counters.opened
            } else {
                &counters.refused
            };
            counter.fetch_add(1, Relaxed);
            made
        }
    }

    /// Binds a UDP socket; port 0 takes a free one.
    pub fn udp_bind(self: &Arc<Self>, address: SocketAddr) -> Result<Arc<UdpSocket>, NetError> {
        let lease = self.hold(&self.stack.udp, address)?;
        UdpSocket::open(self, lease)
    }

    /// The addresses of `name`: an address as it is, `localhost`, the pod's own host name, names
    /// of the cluster, and names of the outside if the egress policy grants them.
    pub fn resolve(
        self: &Arc<Self>,
        name: &str,
    ) -> impl Future<Output = Result<Vec<IpAddr>, NetError>> + Send + use<> {
        let pod = self.clone();
        let name = name.to_owned();
        async move {
            if let Some(known) = pod.resolve_locally(&name) {
                return Ok(known);
            }
            pod.fabric()?.resolve_name(&pod, &name).await
        }
    }

    fn resolve_locally(&self, name: &str) -> Option<Vec<IpAddr>> {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse() {
            return Some(vec![ip]);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        // RFC 6761: localhost and what ends in it are loopback.
        let lower = name.to_ascii_lowercase();
        if lower == "localhost" || lower.ends_with(".localhost") {
            return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        name.eq_ignore_ascii_case(self.hostname())
            .then(|| self.addresses.clone())
    }

    /// Ends of connections that the pod has, waiting to be accepted or open.
    pub fn open_connections(&self) -> usize {
        self.stack.account.open_connections()
    }

    /// Listeners that are open.
    pub fn open_listeners(&self) -> usize {
        self.stack.tcp.users()
    }

    /// What the pod has sent and received.
    pub fn stats(&self) -> NetStats {
        self.stack.account.counters.snapshot()
    }

    /// The budget of the bytes that wait to be read here.
    pub fn buffers(&self) -> &Arc<BufferBudget> {
        &self.stack.account.budget
    }

    /// Closes everything: listeners and sockets close, connections are reset, nothing new opens.
    pub fn close(&self) {
        for listener in self.stack.tcp.close() {
            listener.close();
        }
        for socket in self.stack.udp.close() {
            socket.close();
        }
        self.stack.account.close();
    }

    /// Closes the listeners and lets no new ones open: the pod is to end as soon as its connections
    /// have. What is open stays, and connections to others can still be opened, because answers may
    /// need them.
    pub fn drain(&self) {
        for listener in self.stack.tcp.drain() {
            listener.close();
        }
    }

    pub(super) fn fabric(&self) -> Result<Arc<Fabric>, NetError> {
        self.fabric.upgrade().ok_or(NetError::Closed)
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.stack.account
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    pub(super) fn outside(&self) -> &Arc<Semaphore> {
        &self.outside
    }

    /// Whether `ip` as a destination is this pod: its loopback or an address of its own.
    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.addresses.contains(&ip)
    }

    fn hold<T>(
        &self,
        table: &Arc<PortTable<T>>,
        address: SocketAddr,
    ) -> Result<PortLease<T>, NetError> {
        let ip = address.ip();
        if !ip.is_unspecified() && !self.is_own(ip) {
            return Err(NetError::AddressNotAvailable(address));
        }
        table.hold(address)
    }

    /// The address that `to` sees, of a socket bound to `bound`.
    pub(super) fn source_for(&self, bound: IpAddr, to: SocketAddr) -> Result<IpAddr, NetError> {
        let ip = to.ip();
        if bound.is_ipv4() != ip.is_ipv4() {
            return Err(NetError::Invalid("the address is of another family"));
        }
        if !bound.is_unspecified() {
            if bound.is_loopback() && !self.is_own(ip) {
                return Err(NetError::Invalid("a loopback address reaches only the pod"));
            }
            return Ok(bound);
        }
        self.source(to)
    }

    /// The address from which `to` is reached.
    pub(super) fn source(&self, to: SocketAddr) -> Result<IpAddr, NetError> {
        let ip = to.ip();
        if ip.is_loopback() {
            return Ok(loopback(ip));
        }
        if self.addresses.contains(&ip) {
            return Ok(ip);
        }
        let mut own = self.addresses.iter().copied();
        own.find(|own| own.is_ipv4() == ip.is_ipv4())
            .ok_or(NetError::NetworkUnreachable(to))
    }
}

/// The loopback address of the family of `ip`.
pub(super) fn loopback(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    }
}

impl std::fmt::Debug for PodNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PodNet({} {:?})", self.identity.name, self.addresses)
    }
}
