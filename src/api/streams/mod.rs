//! Byte streams through the server: to nodes' agents, and (port-forward, proxy) to addresses of the
//! cluster. Must not know verbs.

pub(crate) mod node;
