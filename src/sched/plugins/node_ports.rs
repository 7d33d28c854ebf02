//! NodePorts: two pods of a node do not take the same port of the host.

use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::Plugin;

pub(crate) struct NodePorts;

impl Plugin for NodePorts {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        let taken = |port| node.host_ports.keys().any(|own| own.conflicts(port));
        if pod.host_ports.iter().any(taken) {
            let reason = "node(s) didn't have free ports for the requested pod ports";
            Err(Refusal::resolvable(reason))
        } else {
            Ok(())
        }
    }
}
