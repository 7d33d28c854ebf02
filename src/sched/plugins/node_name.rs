//! NodeName: a pod that names its node goes there or nowhere.

use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::Plugin;

pub(crate) struct NodeName;

impl Plugin for NodeName {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        let wanted = &pod.pod.spec.node_name;
        if wanted.is_empty() || wanted == node.name() {
            Ok(())
        } else {
            Err(Refusal::for_good(
                "node(s) didn't match the requested node name",
            ))
        }
    }
}
