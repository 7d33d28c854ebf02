//! Every limit of the virtual network by name, in one place.

use std::time::Duration;

/// Connections that a pod may have open at once, either end, queued in a backlog or accepted.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Listeners that a pod may have at once.
pub const MAX_LISTENERS: usize = 1_024;
/// UDP sockets that a pod may have at once.
pub const MAX_UDP_SOCKETS: usize = 1_024;
/// TCP ports that a pod may hold at once: bound, listening, or the source of a connection.
pub const MAX_TCP_PORTS: usize = MAX_CONNECTIONS + MAX_LISTENERS;
/// Connections that wait in a listener's queue at most, whatever backlog was asked for.
/// A kernel's `net.core.somaxconn` is the same.
pub const MAX_BACKLOG: usize = 4_096;
/// The ports from which a source port is taken: a kernel's `net.ipv4.ip_local_port_range`.
pub const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;
/// How long a connect waits for an answer (a full backlog, a partition) when no other time was
/// asked for.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Send and receive buffer of a socket, in bytes, when it asked for no other. A direction of a
/// connection holds at most the writer's send buffer plus the reader's receive buffer.
pub const DEFAULT_BUFFER: usize = 64 << 10;
/// The smallest buffer that a socket may ask for; smaller wishes are raised to it.
pub const MIN_BUFFER: usize = 2 << 10;
/// The largest buffer that a socket may ask for; larger wishes are lowered to it.
pub const MAX_BUFFER: usize = 1 << 20;
/// Pieces that a direction of a connection holds at most, however small they are.
pub const MAX_CHUNKS: usize = 512;
/// What a piece costs beyond its bytes, for the budget.
pub const CHUNK_OVERHEAD: usize = 64;
/// Pieces up to this size are gathered into one when the reader lags behind.
pub const GATHER_BELOW: usize = 512;
/// Size of the buffer that small pieces are gathered in.
pub const GATHER_BUFFER: usize = 4 << 10;
/// What an empty direction takes even when the budget is spent, so that every connection gets on.
pub const GUARANTEED_BYTES: usize = 1 << 10;
/// Pollers that one side of a queue remembers; one more wakes the oldest, who may ask again.
pub const MAX_POLLERS: usize = 8;

/// The largest payload of a datagram, as of UDP over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;
/// Datagrams that wait to be read at one socket; more are dropped.
pub const MAX_QUEUED_DATAGRAMS: usize = 512;
/// Bytes of datagrams that wait to be read at one socket when it asked for no other buffer.
pub const MAX_QUEUED_DATAGRAM_BYTES: usize = 256 << 10;

/// Bytes that the node itself (probes, port-forward, host ports, egress) holds in queues at most.
pub const NODE_BUFFER_BYTES: usize = 256 << 20;
/// Pods that one node's addresses serve at most.
pub const MAX_POD_ADDRESSES: u32 = 65_534;
