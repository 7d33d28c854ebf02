//! NodeUnschedulable: a cordoned node takes only pods that tolerate it.

use crate::resources::placement::tolerates;
use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round};
use k8s_openapi::api::core::v1::Taint;

pub(crate) struct NodeUnschedulable;

struct Repelled;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        if cluster.cordoned == 0 {
            return None;
        }
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        let mut tolerations = pod.pod.spec.tolerations.iter();
        let tolerated = tolerations.any(|toleration| tolerates(toleration, &cordon));
        (!tolerated).then(|| Box::new(Repelled) as Box<dyn Round>)
    }

    fn helps(&self, event: &Event<'_>, _pod: &PodInfo, _cluster: &Cluster) -> bool {
        matches!(event, Event::Node(node, change) if change.opened
            && node.node.as_ref().is_some_and(|node| !node.spec.unschedulable))
    }
}

impl Round for Repelled {
    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        let cordoned = node
            .node
            .as_ref()
            .is_some_and(|node| node.spec.unschedulable);
        if cordoned {
            Err(Refusal::for_good("node(s) were unschedulable"))
        } else {
            Ok(())
        }
    }
}
