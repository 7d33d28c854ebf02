//! Who is where: the pods by address and by id, the node's own address, and what is asked before
//! a connection is made. Looked up at connect and per datagram, never per byte.

use super::address::{Cidr, NodeIpam};
use super::budget::{BufferBudget, NetStats};
use super::connect::{self, ConnectOptions};
use super::egress::{Egress, socket_share};
use super::egress_rules::EgressPolicy;
use super::error::NetError;
use super::host_port::DoorAnswer;
use super::limits::{MAX_NODE_CONNECTIONS, NODE_BUFFER_BYTES};
use super::pod_net::{PodNet, Stack};
use super::rules::{Faults, Flow, NetEvents, PodIdentity, Policy, Protocol, Resolver, Verdict};
use super::tcp::Conn;
use crate::stdx::{BoxStream, Clock, Dialer};
use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::sync::Semaphore;

/// How a fabric is made.
pub struct FabricConfig {
    /// What pods may reach outside the cluster; nothing by default.
    pub egress: EgressPolicy,
    /// Who is told of refused egress.
    pub events: Option<Arc<dyn NetEvents>>,
    /// The clock of timeouts and of rates.
    pub clock: Clock,
    /// Who knows the names of the cluster.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl Default for FabricConfig {
    fn default() -> Self {
        Self {
            egress: EgressPolicy::default(),
            events: None,
            clock: Clock::real(),
            resolver: None,
        }
    }
}

/// A pod to put on the network.
#[derive(Clone, Debug)]
pub struct PodNetConfig {
    /// The pod's uid.
    pub id: String,
    /// `namespace/name`.
    pub name: String,
    /// The pod's addresses, the primary one first: see [`NodeIpam::allocate`].
    pub addresses: Vec<IpAddr>,
    /// What may wait to be read by the pod.
    pub buffers: Arc<BufferBudget>,
}

/// The virtual network of a process.
pub struct Fabric {
    me: Weak<Fabric>,
    pods: RwLock<Pods>,
    nodes: RwLock<Vec<Cidr>>,
    doors: RwLock<Doors>,
    /// Connections that all host ports together may carry.
    door_places: Arc<Semaphore>,
    node: Stack,
    policy: RwLock<Option<Arc<dyn Policy>>>,
    faults: Faults,
    resolver: Option<Arc<dyn Resolver>>,
    egress: Egress,
    clock: Clock,
    /// What pods did that are gone.
    gone: Mutex<NetStats>,
}

#[derive(Default)]
struct Pods {
    by_ip: HashMap<IpAddr, Arc<PodNet>>,
    by_id: HashMap<String, Arc<PodNet>>,
}

/// A protocol, a port of the node, and whether it is the one of its IPv6 address.
type DoorKey = (Protocol, u16, bool);

/// What host ports lead to.
#[derive(Default)]
struct Doors {
    ports: HashMap<DoorKey, SocketAddr>,
    /// By the pod's address and what it knows the client of a UDP door as.
    flows: HashMap<(SocketAddr, SocketAddr), DoorAnswer>,
}

/// Where an address leads.
pub(super) enum Destination {
    /// To a pod.
    Pod(Arc<PodNet>),
    /// To the node's own address: its doors, and what is granted of the host.
    Node,
    /// To an address of the cluster that no pod has.
    Nowhere,
    /// Out of the cluster.
    Outside,
}

impl Fabric {
    /// An empty network.
    pub fn new(config: FabricConfig) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            pods: RwLock::default(),
            nodes: RwLock::default(),
            doors: RwLock::default(),
            door_places: Arc::new(Semaphore::new(socket_share())),
            node: Stack::new(BufferBudget::new(NODE_BUFFER_BYTES), MAX_NODE_CONNECTIONS),
            policy: RwLock::new(None),
            faults: Faults::default(),
            resolver: config.resolver,
            egress: Egress::new(config.egress, config.events, config.clock.clone()),
            clock: config.clock,
            gone: Mutex::default(),
        })
    }

    /// Makes the ranges of a node known: their first address is the node's, and what no pod has
    /// in them is nowhere and never outside.
    pub fn add_node(&self, ipam: &NodeIpam) {
        let mut nodes = self.nodes.write();
        nodes.extend(ipam.cidrs());
        nodes.sort_unstable();
        nodes.dedup();
    }

    /// Puts a pod on the network.
    pub fn add_pod(&self, config: PodNetConfig) -> Result<Arc<PodNet>, NetError> {
        let mut pods = self.pods.write();
        if pods.by_id.contains_key(&config.id) {
            return Err(NetError::PodExists(config.id));
        }
        if let Some(taken) = config
            .addresses
            .iter()
            .find(|ip| pods.by_ip.contains_key(ip))
        {
            return Err(NetError::AddressTaken(*taken));
        }
        let identity = PodIdentity {
            id: config.id.clone(),
            name: config.name,
        };
        let addresses = config.addresses.clone();
        let pod = PodNet::new(
            identity,
            addresses,
            config.buffers,
            self.egress.sockets_of_a_pod(),
            self.me.clone(),
        );
        for ip in config.addresses {
            pods.by_ip.insert(ip, pod.clone());
        }
        pods.by_id.insert(config.id, pod.clone());
        Ok(pod)
    }

    /// Takes a pod off the network and closes everything it has.
    pub fn remove_pod(&self, id: &str) {
        let removed = {
            let mut pods = self.pods.write();
            let removed = pods.by_id.remove(id);
            for ip in removed.iter().flat_map(|pod| pod.addresses()) {
                pods.by_ip.remove(ip);
            }
            removed
        };
        if let Some(pod) = removed {
            pod.close();
            *self.gone.lock() += pod.stats();
        }
    }

    /// What all pods have done together, those that are gone included.
    pub fn stats(&self) -> NetStats {
        let mut all = *self.gone.lock();
        for pod in self.pods.read().by_id.values() {
            all += pod.stats();
        }
        all
    }

    pub(super) fn pods_count(&self) -> usize {
        self.pods.read().by_id.len()
    }

    /// Ends of connections that pods have open.
    pub(super) fn open_connections(&self) -> usize {
        let pods = self.pods.read();
        pods.by_id
            .values()
            .map(|pod| pod.account().open_connections())
            .sum()
    }

    /// The pod of that id.
    pub fn pod(&self, id: &str) -> Option<Arc<PodNet>> {
        self.pods.read().by_id.get(id).cloned()
    }

    /// Connects from the node to a pod; the pod sees the node's address. Never leaves the cluster.
    pub fn dial(&self, to: SocketAddr) -> impl Future<Output = Result<Conn, NetError>> + use<> {
        let fabric = self.me.upgrade();
        async move {
            let fabric = fabric.ok_or(NetError::Closed)?;
            connect::from_node(&fabric, None, to, ConnectOptions::default()).await
        }
    }

    /// Sets who decides who may reach whom; nobody by default, and all may.
    pub fn set_policy(&self, policy: Option<Arc<dyn Policy>>) {
        *self.policy.write() = policy;
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Where `to` leads. Service addresses will be translated here.
    pub(super) fn resolve_destination(&self, to: SocketAddr) -> Destination {
        let ip = to.ip();
        if let Some(pod) = self.pods.read().by_ip.get(&ip) {
            return Destination::Pod(pod.clone());
        }
        let nodes = self.nodes.read();
        // The ranges are sorted and do not overlap: the last that begins before `ip` has it.
        let at = nodes.partition_point(|cidr| cidr.base() <= ip);
        match at.checked_sub(1).and_then(|at| nodes.get(at)) {
            Some(cidr) if cidr.nth(1) == Some(ip) => Destination::Node,
            Some(cidr) if cidr.contains(ip) => Destination::Nowhere,
            _ => Destination::Outside,
        }
    }

    /// The node's address as the pod at `ip` sees it: the first of its range.
    pub(super) fn node_address_for(&self, ip: IpAddr) -> IpAddr {
        let nodes = self.nodes.read();
        let at = nodes.partition_point(|cidr| cidr.base() <= ip);
        let range = at.checked_sub(1).and_then(|at| nodes.get(at).copied());
        let range = range
            .filter(|cidr| cidr.contains(ip))
            .or_else(|| Cidr::new(ip, if ip.is_ipv4() { 24 } else { 64 }));
        let unspecified: IpAddr = if ip.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        range.and_then(|cidr| cidr.nth(1)).unwrap_or(unspecified)
    }

    /// Asks the policy.
    pub(super) fn allow(
        &self,
        protocol: Protocol,
        from: Option<&PodIdentity>,
        source: IpAddr,
        target: Option<&PodIdentity>,
        destination: SocketAddr,
    ) -> Result<(), NetError> {
        let Some(policy) = self.policy.read().clone() else {
            return Ok(());
        };
        let flow = Flow {
            protocol,
            from,
            source,
            target,
            destination,
        };
        match policy.decide(&flow) {
            Verdict::Allow => Ok(()),
            Verdict::Deny(rule) => Err(NetError::Denied {
                to: destination.to_string(),
                rule,
            }),
        }
    }

    /// The pod behind a host port, and its address and port there.
    pub(super) fn door_at(
        &self,
        protocol: Protocol,
        node: SocketAddr,
    ) -> Option<(Arc<PodNet>, SocketAddr)> {
        let key = (protocol, node.port(), node.is_ipv6());
        let at = *self.doors.read().ports.get(&key)?;
        let pod = self.pods.read().by_ip.get(&at.ip()).cloned()?;
        Some((pod, at))
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn node_stack(&self) -> &Stack {
        &self.node
    }

    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    pub(super) async fn resolve_name(
        &self,
        pod: &PodNet,
        name: &str,
    ) -> Result<Vec<IpAddr>, NetError> {
        if let Some(resolver) = &self.resolver
            && let Some(found) = resolver.resolve(pod.identity(), name).await
        {
            return Ok(found);
        }
        let found = self.egress.resolve(pod.identity(), name).await?;
        let mut addresses = Vec::with_capacity(found.len());
        for ip in found {
            let ip = match ip.is_loopback() || ip.is_unspecified() {
                true => self.host_as_seen_by(pod, ip.is_ipv4()),
                false => Some(ip),
            };
            addresses.extend(ip.filter(|ip| !addresses.contains(ip)));
        }
        if addresses.is_empty() {
            return Err(NetError::NameUnknown(name.to_owned()));
        }
        Ok(addresses)
    }

    /// What a pod has to call the host's loopback, as its own is another: the node's address of
    /// that family, if the pod has one of it.
    fn host_as_seen_by(&self, pod: &PodNet, ipv4: bool) -> Option<IpAddr> {
        let mut own = pod.addresses().iter();
        let own = own.find(|ip| ip.is_ipv4() == ipv4)?;
        Some(self.node_address_for(*own))
    }

    pub(super) fn door_places(&self) -> &Arc<Semaphore> {
        &self.door_places
    }

    /// Pods reach the door at the node's address as well.
    pub(super) fn add_door(&self, protocol: Protocol, port: u16, target: SocketAddr) {
        let key = (protocol, port, target.is_ipv6());
        self.doors.write().ports.insert(key, target);
    }

    pub(super) fn remove_door(&self, protocol: Protocol, port: u16, target: SocketAddr) {
        let mut doors = self.doors.write();
        let key = (protocol, port, target.is_ipv6());
        if doors.ports.get(&key) == Some(&target) {
            doors.ports.remove(&key);
        }
    }

    /// What the pod at `target` sends to `seen` goes out by `answer`.
    pub(super) fn add_door_flow(&self, target: SocketAddr, seen: SocketAddr, answer: DoorAnswer) {
        self.doors.write().flows.insert((target, seen), answer);
    }

    pub(super) fn remove_door_flow(&self, target: SocketAddr, seen: SocketAddr) {
        self.doors.write().flows.remove(&(target, seen));
    }

    /// The way back to `to`, if that is a client of a UDP host port of the pod at `from`.
    pub(super) fn door_answer(&self, from: SocketAddr, to: SocketAddr) -> Option<DoorAnswer> {
        self.doors.read().flows.get(&(from, to)).cloned()
    }
}

#[async_trait]
impl Dialer for Fabric {
    async fn dial(&self, to: SocketAddr) -> io::Result<BoxStream> {
        let conn = Fabric::dial(self, to).await?;
        Ok(Box::new(conn))
    }
}
