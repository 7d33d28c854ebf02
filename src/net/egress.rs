//! The way out of the cluster: which addresses and names pods may reach, told by `--egress`, and
//! the kernel sockets for what is granted. Nothing is by default; the host itself is only when it
//! is named with a port.

use super::egress_rules::{EgressPolicy, is_host_name};
use super::error::NetError;
use super::fabric::Fabric;
use super::limits::{
    ASSUMED_DESCRIPTORS, DESCRIPTORS_SHARE, EGRESS_REPORT_INTERVAL, MAX_LOOKUPS,
    MAX_NAMED_ADDRESSES,
};
use super::pod_net::PodNet;
use super::rules::{NetEvents, PodIdentity};
use super::splice::splice;
use super::tcp::{Conn, End, establish};
use crate::stdx::Clock;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Why an address is the host's or the link's own business, if it is.
fn protection(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_loopback() || ip.is_unspecified() {
        return Some("the host's loopback");
    }
    if link_local {
        return Some("link-local");
    }
    if ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
        return Some("a group, not a host");
    }
    // Only the kernel knows at every moment which addresses are the host's: those it lets bind.
    match std::net::UdpSocket::bind((ip, 0)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => None,
        Ok(_) => Some("an address of the host itself"),
        // Out of descriptors, say: what cannot be told is not let through.
        Err(_) => Some("perhaps an address of the host itself"),
    }
}

/// How many kernel sockets pods may have outside, by the process's limit of descriptors.
pub(super) fn socket_share() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit
        .unwrap_or(ASSUMED_DESCRIPTORS)
        .min(ASSUMED_DESCRIPTORS)
        / DESCRIPTORS_SHARE
}

/// The machine's name as a rule would have it.
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().to_ascii_lowercase()
}

/// The policy at work: what it remembers of names and reports.
pub(super) struct Egress {
    policy: EgressPolicy,
    /// The machine's own name, in lower case. A rule that names it names the host itself.
    host_name: String,
    events: Option<Arc<dyn NetEvents>>,
    clock: Clock,
    reported: Mutex<HashMap<String, Instant>>,
    named: Mutex<Named>,
    lookups: Semaphore,
    sockets: Arc<Semaphore>,
    max_sockets: usize,
}

/// Leave to have one kernel socket, of the pod's and of all pods' share.
pub(super) struct SocketPermit {
    _pod: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Which granted name an address was looked up for; who was not looked up for longest is forgotten.
#[derive(Default)]
struct Named {
    known: HashMap<(IpAddr, String), u64>,
    /// The same by the number of the look-up.
    order: BTreeMap<u64, (IpAddr, String)>,
    next: u64,
}

impl Named {
    fn add(&mut self, ip: IpAddr, name: &str) {
        let entry = (ip, name.to_owned());
        self.next += 1;
        if let Some(before) = self.known.insert(entry.clone(), self.next) {
            self.order.remove(&before);
        }
        self.order.insert(self.next, entry);
        if self.order.len() > MAX_NAMED_ADDRESSES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    fn has(&self, ip: IpAddr, name: &str) -> bool {
        self.known.contains_key(&(ip, name.to_owned()))
    }
}

impl Egress {
    pub(super) fn new(
        policy: EgressPolicy,
        events: Option<Arc<dyn NetEvents>>,
        clock: Clock,
    ) -> Self {
        let max_sockets = socket_share();
        Self {
            policy,
            host_name: host_name(),
            events,
            clock,
            reported: Mutex::default(),
            named: Mutex::default(),
            lookups: Semaphore::new(MAX_LOOKUPS),
            sockets: Arc::new(Semaphore::new(max_sockets)),
            max_sockets,
        }
    }

    /// How many kernel sockets one pod may have.
    pub(super) fn sockets_of_a_pod(&self) -> usize {
        self.max_sockets / 2
    }

    /// Leave for one more kernel socket of `pod`.
    pub(super) fn socket(&self, pod: &PodNet) -> Result<SocketPermit, NetError> {
        let too_many = |_| NetError::TooMany {
            what: "sockets to the outside",
            limit: self.sockets_of_a_pod(),
        };
        let _pod = pod.outside().clone().try_acquire_owned();
        let _pod = _pod.map_err(too_many)?;
        let _all = self.sockets.clone().try_acquire_owned();
        let _all = _all.map_err(too_many)?;
        Ok(SocketPermit { _pod, _all })
    }

    /// Whether `pod` may reach `to` outside the cluster.
    pub(super) fn permit(&self, pod: &PodIdentity, to: SocketAddr) -> Result<(), NetError> {
        if self.policy.names(to) {
            return Ok(());
        }
        let (granted, as_host) = {
            let named = self.named.lock();
            let granted = self.policy.grants(to, |name| named.has(to.ip(), name));
            (granted, granted && named.has(to.ip(), &self.host_name))
        };
        if as_host && self.policy.grants_port_of(&self.host_name, to.port()) {
            return Ok(());
        }
        if !granted {
            let rule = format!("no egress rule grants it (wkube serve --egress {to} would)");
            return Err(self.deny(pod, to.to_string(), rule));
        }
        let Some(what) = protection(to.ip()) else {
            return Ok(());
        };
        let rule = format!("it is {what}, which only a rule of its own grants (--egress {to})");
        Err(self.deny(pod, to.to_string(), rule))
    }

    /// Whether `pod` may reach `port` of the host's loopback, at the node's address `to`.
    pub(super) fn permit_host(&self, pod: &PodIdentity, to: SocketAddr) -> Result<(), NetError> {
        let by_name = self.policy.grants_port_of(&self.host_name, to.port());
        if by_name || self.policy.grants_host_port(to.port()) {
            return Ok(());
        }
        let rule = format!(
            "{} is the node, whose ports only --egress localhost:{} grants",
            to.ip(),
            to.port()
        );
        Err(self.deny(pod, to.to_string(), rule))
    }

    fn deny(&self, pod: &PodIdentity, to: String, rule: String) -> NetError {
        tracing::debug!(pod = %pod.name, %to, %rule, "egress denied");
        if let Some(events) = &self.events
            && self.is_to_report(pod)
        {
            events.egress_denied(pod, &to, &rule);
        }
        NetError::Denied { to, rule }
    }

    fn is_to_report(&self, pod: &PodIdentity) -> bool {
        let now = self.clock.instant();
        let is_recent = |at: &Instant| now.duration_since(*at) < EGRESS_REPORT_INTERVAL;
        let mut reported = self.reported.lock();
        if reported.get(&pod.id).is_some_and(is_recent) {
            return false;
        }
        // At most one entry a pod a minute is added, so this is rarely done.
        reported.retain(|_, at| is_recent(at));
        reported.insert(pod.id.clone(), now);
        true
    }

    /// Looks up a name of the outside, if it is granted.
    pub(super) async fn resolve(
        &self,
        pod: &PodIdentity,
        name: &str,
    ) -> Result<Vec<IpAddr>, NetError> {
        let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if !is_host_name(&bare) {
            return Err(NetError::NameUnknown(name.to_owned()));
        }
        if !self.policy.grants_name(&bare) {
            let rule = format!(
                "it is no name of the cluster, and no egress rule grants it (wkube serve --egress \
                 {bare}:PORT would)"
            );
            return Err(self.deny(pod, bare, rule));
        }
        let _turn = self.lookups.acquire().await.map_err(|_| NetError::Closed)?;
        let found = tokio::net::lookup_host((bare.as_str(), 0)).await;
        let found = found.map_err(|error| lookup_error(&bare, &error))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in found.map(|found| found.ip()) {
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if addresses.is_empty() {
            return Err(NetError::NameUnknown(bare));
        }
        let mut named = self.named.lock();
        for ip in &addresses {
            named.add(*ip, &bare);
        }
        Ok(addresses)
    }
}

fn lookup_error(name: &str, error: &io::Error) -> NetError {
    let reason = error.to_string();
    // std gives getaddrinfo's codes no kinds of their own.
    if reason.contains("emporary") {
        return NetError::NameTemporary {
            name: name.to_owned(),
            reason,
        };
    }
    NetError::NameUnknown(name.to_owned())
}

/// Connects `end` to the outside, if that is granted.
pub(super) async fn connect(
    fabric: &Arc<Fabric>,
    pod: &Arc<PodNet>,
    end: End,
    timeout: Duration,
) -> Result<Conn, NetError> {
    let to = end.peer;
    fabric.egress().permit(pod.identity(), to)?;
    let permit = fabric.egress().socket(pod)?;
    let stream = dial(fabric, to, to, timeout).await?;
    join(fabric, end, stream, permit)
}

/// Connects `end` to a port of the host's loopback, if that is granted.
pub(super) async fn connect_to_host(
    fabric: &Arc<Fabric>,
    pod: &Arc<PodNet>,
    end: End,
    timeout: Duration,
) -> Result<Conn, NetError> {
    let to = end.peer;
    fabric.egress().permit_host(pod.identity(), to)?;
    let permit = fabric.egress().socket(pod)?;
    let port = to.port();
    let first = dial(fabric, (Ipv4Addr::LOCALHOST, port).into(), to, timeout).await;
    let stream = match first {
        Ok(stream) => stream,
        Err(error) => dial(fabric, (Ipv6Addr::LOCALHOST, port).into(), to, timeout)
            .await
            .map_err(|_| error)?,
    };
    join(fabric, end, stream, permit)
}

/// Opens a kernel connection to `at`, which the guest knows as `to`.
async fn dial(
    fabric: &Fabric,
    at: SocketAddr,
    to: SocketAddr,
    timeout: Duration,
) -> Result<TcpStream, NetError> {
    let connected = tokio::select! {
        connected = TcpStream::connect(at) => connected,
        () = fabric.clock().sleep(timeout) => return Err(NetError::TimedOut(to)),
    };
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => NetError::Refused(to),
        io::ErrorKind::TimedOut => NetError::TimedOut(to),
        io::ErrorKind::HostUnreachable => NetError::HostUnreachable(to),
        io::ErrorKind::NetworkUnreachable => NetError::NetworkUnreachable(to),
        _ => NetError::outside(format!("connection to {to}"), &error),
    })
}

fn join(
    fabric: &Arc<Fabric>,
    end: End,
    stream: TcpStream,
    permit: SocketPermit,
) -> Result<Conn, NetError> {
    let outside = End {
        account: fabric.node_stack().account.clone(),
        local: end.peer,
        peer: end.local,
        options: end.options,
        lease: None,
    };
    let (conn, outside) = establish(end, outside)?;
    let carried = splice(outside, stream, fabric.clock().clone());
    tokio::spawn(async move {
        carried.await;
        drop(permit);
    });
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_itself_is_only_granted_by_name() {
        let to = |text: &str| text.parse::<SocketAddr>().unwrap();
        let pod = PodIdentity {
            id: "1".into(),
            name: "default/a".into(),
        };
        let permit = |rules: &[&str], address: &str| {
            Egress::new(EgressPolicy::parse(rules).unwrap(), None, Clock::real())
                .permit(&pod, to(address))
        };
        for inner in [
            "127.0.0.1:80",
            "[::1]:80",
            "169.254.169.254:80",
            "[fe80::1]:80",
            "224.0.0.1:80",
        ] {
            assert!(
                permit(&["all", "0.0.0.0/0", "::/0"], inner).is_err(),
                "{inner}"
            );
        }
        assert!(permit(&["169.254.169.254:80"], "169.254.169.254:80").is_ok());
        assert!(permit(&["169.254.169.254"], "169.254.169.254:80").is_err());
        assert!(permit(&["192.0.2.0/24:80"], "192.0.2.9:80").is_ok());
        assert!(permit(&["192.0.2.0/24:80"], "192.0.2.9:81").is_err());
        assert!(permit(&["example.com:80"], "192.0.2.9:80").is_err());
    }
}
