//! What can go wrong in the virtual network, in the words of a kernel's errno. Guests' adapters
//! map a [`NetError`] to their ABI's codes; hosts take it as an `io::Error`.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a call on the virtual network failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Nobody listens there (ECONNREFUSED).
    #[error("connection to {0} refused")]
    Refused(SocketAddr),
    /// No pod has the address, or it is gone (EHOSTUNREACH).
    #[error("no route to host {0}")]
    HostUnreachable(SocketAddr),
    /// The pod has no address of the destination's family (ENETUNREACH).
    #[error("network of {0} is unreachable: the pod has no address of that family")]
    NetworkUnreachable(SocketAddr),
    /// No answer within the connect timeout (ETIMEDOUT).
    #[error("connection to {0} timed out")]
    TimedOut(SocketAddr),
    /// The peer reset the connection (ECONNRESET).
    #[error("connection reset by peer")]
    Reset,
    /// The peer no longer reads, or this end has shut down writing (EPIPE).
    #[error("broken pipe")]
    BrokenPipe,
    /// The listener, socket or pod has been closed (EBADF, ECANCELED).
    #[error("socket closed")]
    Closed,
    /// Address and port are bound already (EADDRINUSE).
    #[error("address {0} in use")]
    InUse(SocketAddr),
    /// The address is not one of the pod (EADDRNOTAVAIL).
    #[error("address {0} is not one of this pod")]
    AddressNotAvailable(SocketAddr),
    /// The range of ephemeral ports is exhausted (EADDRNOTAVAIL, EAGAIN).
    #[error("no ephemeral port left on {0}")]
    PortsExhausted(IpAddr),
    /// A parameter makes no sense (EINVAL).
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// A datagram is larger than [`crate::net::MAX_DATAGRAM`] (EMSGSIZE).
    #[error("message of {0} bytes is too long")]
    MessageTooLong(usize),
    /// The socket is not connected and no destination was given (ENOTCONN, EDESTADDRREQ).
    #[error("socket is not connected")]
    NotConnected,
    /// A limit of the pod is reached (EMFILE).
    #[error("too many open {what}: the limit of a pod is {limit}")]
    TooMany {
        /// What there are too many of: `connections`, `listeners`, `sockets`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A rule forbids it (EACCES); the rule is named.
    #[error("connection to {to} denied: {rule}")]
    Denied {
        /// The destination, as address and port or as a name.
        to: String,
        /// The rule that refused, in words its author knows.
        rule: String,
    },
    /// The name has no address (EAI_NONAME).
    #[error("name {0:?} is not known")]
    NameUnknown(String),
    /// The name could not be looked up now (EAI_AGAIN).
    #[error("name {name:?} cannot be looked up: {reason}")]
    NameTemporary {
        /// The name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// Every address of the node's pod CIDR is taken.
    #[error("no address left in {0}")]
    OutOfAddresses(String),
    /// An address is in another pod's possession.
    #[error("address {0} belongs to another pod")]
    AddressTaken(IpAddr),
    /// A pod of that id is on the fabric already.
    #[error("pod {0} is on the network already")]
    PodExists(String),
    /// A port of the host cannot be opened.
    #[error("host port {address}/{protocol} cannot be opened: {reason}")]
    HostPort {
        /// The host's address and port.
        address: SocketAddr,
        /// `TCP` or `UDP`.
        protocol: &'static str,
        /// The kind that the kernel gave.
        kind: io::ErrorKind,
        /// What the kernel said.
        reason: String,
    },
    /// A kernel socket outside the cluster failed.
    #[error("{what}: {reason}")]
    Outside {
        /// The kind that the kernel gave.
        kind: io::ErrorKind,
        /// What was tried.
        what: String,
        /// What the kernel said.
        reason: String,
    },
}

impl NetError {
    /// The kind that a kernel's error for the same cause has in std.
    pub fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind as K;
        match self {
            Self::Refused(_) => K::ConnectionRefused,
            Self::HostUnreachable(_) => K::HostUnreachable,
            Self::NetworkUnreachable(_) => K::NetworkUnreachable,
            Self::TimedOut(_) => K::TimedOut,
            Self::Reset => K::ConnectionReset,
            Self::BrokenPipe => K::BrokenPipe,
            Self::Closed => K::ConnectionAborted,
            Self::InUse(_) | Self::AddressTaken(_) => K::AddrInUse,
            Self::AddressNotAvailable(_) | Self::PortsExhausted(_) | Self::OutOfAddresses(_) => {
                K::AddrNotAvailable
            }
            Self::Invalid(_) | Self::MessageTooLong(_) => K::InvalidInput,
            Self::NotConnected => K::NotConnected,
            Self::TooMany { .. } => K::QuotaExceeded,
            Self::Denied { .. } => K::PermissionDenied,
            Self::NameUnknown(_) | Self::NameTemporary { .. } => K::NotFound,
            Self::PodExists(_) => K::AlreadyExists,
            Self::Outside { kind, .. } | Self::HostPort { kind, .. } => *kind,
        }
    }

    /// A kernel's error while doing `what`.
    pub(super) fn outside(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Outside {
            kind: error.kind(),
            what: what.into(),
            reason: error.to_string(),
        }
    }
}

impl From<NetError> for io::Error {
    fn from(error: NetError) -> Self {
        Self::new(error.kind(), error)
    }
}
