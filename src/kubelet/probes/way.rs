//! The way from the node to what a probe or a hook names: its port, its host, and the connection
//! over the pod network.

use crate::net::{Fabric, PodNet};
use crate::stdx::{BoxStream, Clock, Dialer, dial_words};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a pod is reached.
#[derive(Clone)]
pub(in crate::kubelet) struct Way {
    pub(in crate::kubelet) fabric: Arc<Fabric>,
    /// The pod's network, by which names are looked up.
    pub(in crate::kubelet) net: Arc<PodNet>,
    /// The pod's address.
    pub(in crate::kubelet) address: IpAddr,
    pub(in crate::kubelet) clock: Clock,
}

/// Why there is no connection.
pub(super) struct NoWay {
    /// As Go's `net` words it.
    pub(super) words: String,
    /// Nobody listens there.
    pub(super) refused: bool,
}

impl Way {
    /// Connects; `host` is an address or a name.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<BoxStream, NoWay> {
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) => self.resolve(host).await?,
        };
        let to = SocketAddr::new(ip, port);
        let dialed = Dialer::dial(&*self.fabric, to).await;
        dialed.map_err(|error| NoWay {
            words: dial_words(to, &error),
            refused: error.kind() == io::ErrorKind::ConnectionRefused,
        })
    }

    async fn resolve(&self, name: &str) -> Result<IpAddr, NoWay> {
        let found = self.net.resolve(name).await;
        let first = found.ok().and_then(|found| found.first().copied());
        first.ok_or_else(|| NoWay {
            words: format!("dial tcp: lookup {name}: no such host"),
            refused: false,
        })
    }

    /// What `work` comes to, unless it takes longer than until `until`.
    pub(super) async fn within<T>(
        &self,
        until: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let left = until.saturating_duration_since(self.clock.instant());
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.sleep(left) => None,
        }
    }

    pub(super) fn after(&self, timeout: Duration) -> Instant {
        self.clock.instant() + timeout
    }
}

/// A port by number, or by its name in `container`; a name that no port has may be a number.
/// Kubernetes: ResolveContainerPort.
pub(super) fn port(told: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match told {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            match ports.find(|port| port.name.as_deref() == Some(name)) {
                Some(port) => i64::from(port.container_port),
                None => name
                    .parse()
                    .map_err(|_| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?,
            }
        }
    };
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("invalid port number: {number}"))
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
