//! NodeUnschedulable: a cordoned node takes only pods that tolerate it.

use crate::resources::placement::tolerates;
use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::Plugin;
use k8s_openapi::api::core::v1::Taint;

pub(crate) struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        if !node
            .node
            .as_ref()
            .is_some_and(|node| node.spec.unschedulable)
        {
            return Ok(());
        }
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if pod
            .pod
            .spec
            .tolerations
            .iter()
            .any(|toleration| tolerates(toleration, &cordon))
        {
            Ok(())
        } else {
            Err(Refusal::for_good("node(s) were unschedulable"))
        }
    }
}
