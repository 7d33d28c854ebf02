//! The seams where others decide: policy (who may reach whom), faults (what goes wrong on
//! purpose), names. Each is a look-up that costs nothing while nobody has put anything in.

use super::limits::MAX_DELAYED_DATAGRAMS;
use async_trait::async_trait;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// Kubernetes' word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A pod, as the network names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's uid.
    pub id: String,
    /// `namespace/name`.
    pub name: String,
}

/// Who wants to reach whom. Traffic within a pod is nobody's business and is not asked about.
#[derive(Debug)]
pub struct Flow<'a> {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The sending pod; `None` is the node itself or what a host port lets in.
    pub from: Option<&'a PodIdentity>,
    /// The sender's address.
    pub source: IpAddr,
    /// The receiving pod; `None` is outside the cluster.
    pub target: Option<&'a PodIdentity>,
    /// The receiver's address and port.
    pub destination: SocketAddr,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not; the words name the rule for who reads the error.
    Deny(String),
}

/// Who may reach whom: asked once a connection, and once a datagram.
pub trait Policy: Send + Sync {
    /// Decides. Must not wait.
    fn decide(&self, flow: &Flow<'_>) -> Verdict;
}

/// Looks up names of the cluster (services, later), before names of the outside are.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of `name` as `pod` asks for it; `None` if it is no name of the cluster.
    async fn resolve(&self, pod: &PodIdentity, name: &str) -> Option<Vec<IpAddr>>;
}

/// What the network tells its owner.
pub trait NetEvents: Send + Sync {
    /// `pod` tried to reach `destination` outside the cluster and `rule` refused it. Told at most
    /// once a minute a pod.
    fn egress_denied(&self, pod: &PodIdentity, destination: &str, rule: &str);
}

/// What goes wrong on purpose between two addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Connections take so much longer to be made.
    pub connect_delay: Duration,
    /// Each datagram is under way for so long; that nobody was there is told as much later.
    pub datagram_delay: Duration,
    /// Nothing gets through: connects time out, datagrams are lost.
    pub partition: bool,
}

/// Faults by pair of addresses, in both directions. Looked up when a connection is made and for
/// every datagram; connections that exist are not touched.
#[derive(Debug)]
pub struct Faults {
    any: AtomicBool,
    table: RwLock<HashMap<(IpAddr, IpAddr), Fault>>,
    under_way: Arc<Semaphore>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            any: AtomicBool::new(false),
            table: RwLock::default(),
            under_way: Arc::new(Semaphore::new(MAX_DELAYED_DATAGRAMS)),
        }
    }
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

impl Faults {
    /// Puts `fault` between `a` and `b`; the default fault takes it away.
    pub fn set(&self, a: IpAddr, b: IpAddr, fault: Fault) {
        let mut table = self.table.write();
        if fault == Fault::default() {
            table.remove(&pair(a, b));
        } else {
            table.insert(pair(a, b), fault);
        }
        self.any.store(!table.is_empty(), Relaxed);
    }

    /// A place among the datagrams that are held up, if one is left.
    pub(super) fn place_under_way(&self) -> Option<OwnedSemaphorePermit> {
        self.under_way.clone().try_acquire_owned().ok()
    }

    pub(super) fn between(&self, a: IpAddr, b: IpAddr) -> Option<Fault> {
        if !self.any.load(Relaxed) {
            return None;
        }
        self.table.read().get(&pair(a, b)).copied()
    }
}
