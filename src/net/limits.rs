//! Every limit of the virtual network by name, in one place.

use std::time::Duration;

/// Connections that a pod may have open at once, either end, queued in a backlog or accepted.
pub const MAX_CONNECTIONS: usize = 16_384;
/// Listeners that a pod may have at once. The ports that it holds at once are as many as
/// listeners and connections together.
pub const MAX_LISTENERS: usize = 1_024;
/// UDP sockets that a pod may have at once.
pub const MAX_UDP_SOCKETS: usize = 1_024;
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

/// Datagrams that faults hold up at once in the whole network; more are dropped.
pub const MAX_DELAYED_DATAGRAMS: usize = 1_024;

/// Bytes that are carried at once between a kernel socket and the virtual network.
pub const SPLICE_CHUNK: usize = 64 << 10;
/// How long a kernel socket outlives the guest's closed end while its peer does not end:
/// a kernel's `tcp_fin_timeout`.
pub const ORPHAN_TIMEOUT: Duration = Duration::from_secs(60);
/// Of the file descriptors that the process may have, one in so many may be sockets of pods to the
/// outside, and as many connections through host ports: the server's own must not run out. One pod
/// gets half of the former.
pub const DESCRIPTORS_SHARE: usize = 4;
/// What is taken for the process's limit of file descriptors if it is not known or unlimited.
pub const ASSUMED_DESCRIPTORS: usize = 65_536;
/// Connections that one host port carries at once; more wait in the kernel's queue.
pub const MAX_DOOR_CONNECTIONS: usize = 4_096;
/// Clients that one UDP host port remembers; the one that was quiet longest is forgotten.
pub const MAX_DOOR_FLOWS: usize = 1_024;
/// How long a UDP host port remembers a quiet client: a kernel's timeout of UDP streams.
pub const DOOR_FLOW_IDLE: Duration = Duration::from_secs(120);
/// How long a host port waits when the kernel gives no more sockets.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Peers outside the cluster that a UDP socket hears from; the oldest is forgotten.
pub const MAX_OUTSIDE_PEERS: usize = 64;
/// Time between two reports of refused egress of one pod.
pub const EGRESS_REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// Names of the outside that are looked up at once.
pub const MAX_LOOKUPS: usize = 16;
/// Addresses of granted names that are remembered; the one that was not looked up for longest is
/// forgotten.
pub const MAX_NAMED_ADDRESSES: usize = 4_096;

/// Connections of the node itself: probes, port-forward, host ports, egress.
pub const MAX_NODE_CONNECTIONS: usize = 65_536;
/// Bytes that the node itself (probes, port-forward, host ports, egress) holds in queues at most.
pub const NODE_BUFFER_BYTES: usize = 256 << 20;
/// Pods that one node's addresses serve at most.
pub const MAX_POD_ADDRESSES: u32 = 65_534;
