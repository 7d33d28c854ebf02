//! The virtual network: pod stacks, loopback, the fabric between them, doors to the host. Must
//! never watch the API or know wasm.
//!
//! Between pods there are no kernel sockets: a connection is two bounded queues in memory. The
//! kernel is used only at the edges: [`EgressPolicy`] out, [`HostPorts`] in.
//! See `docs/networking.md`.

mod account;
mod address;
mod budget;
mod connect;
mod datagrams;
mod egress;
mod egress_rules;
mod error;
mod fabric;
mod host_port;
mod limits;
mod listener;
mod metrics;
mod outside;
mod pipe;
mod pod_net;
mod ports;
mod rules;
mod splice;
mod tcp;
mod udp;
mod wakers;

pub use address::{Cidr, CidrError, NodeIpam};
pub use budget::{BufferBudget, NetStats};
pub use connect::ConnectOptions;
pub use egress_rules::{EgressPolicy, EgressRuleError};
pub use error::NetError;
pub use fabric::{Fabric, FabricConfig, PodNetConfig};
pub use host_port::{HostPort, HostPorts};
pub use limits::*;
pub use listener::{Listener, TcpBinding};
pub use pod_net::PodNet;
pub use rules::{Fault, Faults, Flow, NetEvents, PodIdentity, Policy, Protocol, Resolver, Verdict};
pub use tcp::{Conn, How, Read, SocketOptions};
pub use udp::{Datagram, UdpSocket};
