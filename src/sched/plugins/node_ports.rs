//! NodePorts: two pods of a node do not take the same port of the host.

use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round};

pub(crate) struct NodePorts;

struct Ports<'a>(&'a PodInfo);

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        (!pod.host_ports.is_empty()).then(|| Box::new(Ports(pod)) as Box<dyn Round>)
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        match event {
            Event::Node(_, change) => change.opened,
            Event::PodGone(gone) => gone
                .host_ports
                .iter()
                .any(|port| pod.host_ports.iter().any(|own| own.conflicts(port))),
            Event::PodCame(_) | Event::PodChanged(..) | Event::Unknown => false,
        }
    }
}

impl Round for Ports<'_> {
    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        let taken = |port| node.host_ports.keys().any(|own| own.conflicts(port));
        if self.0.host_ports.iter().any(taken) {
            let reason = "node(s) didn't have free ports for the requested pod ports";
            Err(Refusal::resolvable(reason))
        } else {
            Ok(())
        }
    }
}
