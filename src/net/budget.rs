//! What a pod's sockets cost: a shared budget of bytes that wait in queues, and counters.
//! Must not know what the bytes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Bytes that may wait in queues at once. Bytes are charged to the receiving pod when they are
/// written and released when they are read or thrown away. Over the budget, writers see no room.
///
/// Budgets nest: what is charged to a pod's budget is charged to its parent (the node's) as well.
#[derive(Debug)]
pub struct BufferBudget {
    limit: AtomicUsize,
    used: AtomicUsize,
    parent: Option<Arc<BufferBudget>>,
}

impl BufferBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            parent: None,
        })
    }

    /// A budget of `limit` bytes within `parent`.
    pub fn within(limit: usize, parent: Arc<BufferBudget>) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            parent: Some(parent),
        })
    }

    /// Bytes that are charged now. May exceed the limit by
    /// [`GUARANTEED_BYTES`](super::GUARANTEED_BYTES) a connection.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Changes the limit; what is charged stays.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Bytes that may still be charged, here and in every parent.
    pub fn left(&self) -> usize {
        let own = self.limit().saturating_sub(self.used());
        match &self.parent {
            Some(parent) => own.min(parent.left()),
            None => own,
        }
    }

    pub(super) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.charge(bytes);
        }
    }

    pub(super) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.release(bytes);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dropped_datagrams: AtomicU64,
}

/// What a pod's network has done since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Bytes that others sent to the pod, loopback included.
    pub received_bytes: u64,
    /// Bytes that the pod sent, loopback included.
    pub sent_bytes: u64,
    /// Connections that the pod opened.
    pub opened: u64,
    /// Connections that were queued for the pod to accept.
    pub accepted: u64,
    /// Connections that the pod tried and was refused, whatever the cause.
    pub refused: u64,
    /// Datagrams to the pod that were dropped because a queue was full.
    pub dropped_datagrams: u64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> NetStats {
        NetStats {
            received_bytes: self.received_bytes.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            opened: self.opened.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped_datagrams: self.dropped_datagrams.load(Relaxed),
        }
    }
}
