//! NodeName: a pod that names its node goes there or nowhere.

use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round};

pub(crate) struct NodeName;

struct Named<'a>(&'a str);

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, _cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        let name = pod.pod.spec.node_name.as_str();
        (!name.is_empty()).then(|| Box::new(Named(name)) as Box<dyn Round>)
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        matches!(event, Event::Node(node, _) if node.name() == pod.pod.spec.node_name)
    }
}

impl Round for Named<'_> {
    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        if self.0 == node.name() {
            Ok(())
        } else {
            Err(Refusal::for_good(
                "node(s) didn't match the requested node name",
            ))
        }
    }
}
