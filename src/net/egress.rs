//! The way out of the cluster: which addresses and names pods may reach, told by `--egress`, and
//! the kernel sockets for what is granted. Nothing is by default; the host itself is only when it
//! is named.

use super::address::Cidr;
use super::error::NetError;
use super::fabric::Fabric;
use super::pod_net::PodNet;
use super::rules::{NetEvents, PodIdentity};
use super::tcp::{Conn, End};
use crate::stdx::Clock;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What pods may reach outside the cluster.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    rules: Vec<Rule>,
}

/// Why a text is no egress rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "egress rule {0:?} is none of: all, an address range (10.0.0.0/8), a range or address with a \
     port (1.2.3.4:443, [2001:db8::]/32, [2001:db8::1]:443), a name with a port (example.com:443), \
     localhost:PORT"
)]
pub struct EgressRuleError(pub String);

#[derive(Clone, Debug)]
enum Rule {
    All,
    Range(Cidr, Option<u16>),
}

impl EgressPolicy {
    /// Reads the values of `--egress`.
    pub fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, EgressRuleError> {
        let rules = rules
            .iter()
            .map(|rule| match rule.as_ref() {
                "all" => Ok(Rule::All),
                text => text
                    .parse()
                    .map(|cidr| Rule::Range(cidr, None))
                    .map_err(|_| EgressRuleError(text.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    fn allows(&self, to: SocketAddr) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Range(cidr, port) => {
                cidr.contains(to.ip()) && port.is_none_or(|port| port == to.port())
            }
        })
    }
}

pub(super) struct Egress {
    policy: EgressPolicy,
    events: Option<Arc<dyn NetEvents>>,
    _clock: Clock,
}

impl Egress {
    pub(super) fn new(
        policy: EgressPolicy,
        events: Option<Arc<dyn NetEvents>>,
        clock: Clock,
    ) -> Self {
        Self {
            policy,
            events,
            _clock: clock,
        }
    }

    pub(super) fn permit(&self, pod: &PodIdentity, to: SocketAddr) -> Result<(), NetError> {
        if self.policy.allows(to) {
            return Ok(());
        }
        let rule = format!("no --egress rule allows it; start wkube with --egress {to} to");
        if let Some(events) = &self.events {
            events.egress_denied(pod, &to.to_string(), &rule);
        }
        Err(NetError::Denied {
            to: to.to_string(),
            rule,
        })
    }

    pub(super) async fn resolve(
        &self,
        _pod: &PodIdentity,
        name: &str,
    ) -> Result<Vec<IpAddr>, NetError> {
        Err(NetError::NameUnknown(name.to_owned()))
    }
}

pub(super) async fn connect(
    fabric: &Arc<Fabric>,
    pod: &Arc<PodNet>,
    end: End,
    _timeout: Duration,
) -> Result<Conn, NetError> {
    fabric.egress().permit(pod.identity(), end.peer)?;
    Err(NetError::HostUnreachable(end.peer))
}

pub(super) async fn connect_to_host(
    _fabric: &Arc<Fabric>,
    _pod: &Arc<PodNet>,
    end: End,
    _timeout: Duration,
) -> Result<Conn, NetError> {
    Err(NetError::Refused(end.peer))
}
