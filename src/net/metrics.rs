//! The network's figures, of all pods together. Must not know what the bytes are.

use super::budget::NetStats;
use super::fabric::Fabric;
use crate::stdx::{Labels, Metrics};
use std::ops::AddAssign;
use std::sync::Arc;

impl AddAssign for NetStats {
    fn add_assign(&mut self, other: Self) {
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.opened += other.opened;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.dropped_datagrams += other.dropped_datagrams;
    }
}

impl Fabric {
    /// Enters the figures of the network.
    pub fn register(self: &Arc<Self>, metrics: &Metrics) {
        let read = |figure: fn(&Fabric) -> f64| {
            let fabric = Arc::downgrade(self);
            move || fabric.upgrade().map_or(0.0, |fabric| figure(&fabric))
        };
        metrics.gauge(
            "wkube_net_pods",
            "Pods on the network",
            read(|fabric| fabric.pods_count() as f64),
        );
        metrics.gauge(
            "wkube_net_connections_open",
            "Ends of TCP connections that pods have open",
            read(|fabric| fabric.open_connections() as f64),
        );
        let fabric = Arc::downgrade(self);
        metrics.counts(
            "wkube_net_bytes",
            "Bytes that pods sent and received, loopback included",
            move || {
                let all = fabric.upgrade().map(|fabric| fabric.stats());
                let all = all.unwrap_or_default();
                let one = |direction: &str, bytes: u64| -> (Labels, f64) {
                    (vec![("direction", direction.to_owned())], bytes as f64)
                };
                vec![
                    one("sent", all.sent_bytes),
                    one("received", all.received_bytes),
                ]
            },
        );
        let fabric = Arc::downgrade(self);
        metrics.counts(
            "wkube_net_connections",
            "TCP connections that pods opened, accepted, and were refused",
            move || {
                let all = fabric.upgrade().map(|fabric| fabric.stats());
                let all = all.unwrap_or_default();
                let one = |result: &str, count: u64| -> (Labels, f64) {
                    (vec![("result", result.to_owned())], count as f64)
                };
                vec![
                    one("opened", all.opened),
                    one("accepted", all.accepted),
                    one("refused", all.refused),
                ]
            },
        );
        metrics.count(
            "wkube_net_dropped_datagrams",
            "Datagrams that were dropped because a queue was full",
            read(|fabric| fabric.stats().dropped_datagrams as f64),
        );
    }
}
