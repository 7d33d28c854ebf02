//! TaintToleration: a node's taints repel the pods that do not tolerate them; taints that only ask
//! to be avoided lower the score.
//! Kubernetes: core/v1 `Toleration.ToleratesTaint`.

use crate::resources::placement::{self, tolerates};
use crate::sched::cluster::Cluster;
use crate::sched::cycle::Refusal;
use crate::sched::hints::Event;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, Round, scale};
use k8s_openapi::api::core::v1::Taint;

pub(crate) struct TaintToleration;

struct Tolerance<'a>(&'a PodInfo);

fn taints(node: &NodeInfo) -> &[Taint] {
    let node = node.node.as_ref();
    node.map_or(&[], |node| node.spec.taints.as_slice())
}

fn untolerated<'n>(pod: &PodInfo, node: &'n NodeInfo) -> Option<&'n Taint> {
    let tolerations = &pod.pod.spec.tolerations;
    placement::untolerated(taints(node), tolerations, &["NoSchedule", "NoExecute"])
}

/// Whether a pod tolerates a node.
pub(crate) fn tolerated(pod: &PodInfo, node: &NodeInfo) -> bool {
    untolerated(pod, node).is_none()
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn begin<'a>(&self, pod: &'a PodInfo, cluster: &'a Cluster) -> Option<Box<dyn Round + 'a>> {
        (cluster.tainted > 0).then(|| Box::new(Tolerance(pod)) as Box<dyn Round>)
    }

    fn weight(&self) -> i64 {
        3
    }

    fn helps(&self, event: &Event<'_>, pod: &PodInfo, _cluster: &Cluster) -> bool {
        matches!(event, Event::Node(node, change) if (change.taints || change.opened)
            && tolerated(pod, node))
    }
}

impl Round for Tolerance<'_> {
    fn filter(&self, _slot: usize, node: &NodeInfo) -> Result<(), Refusal> {
        match untolerated(self.0, node) {
            None => Ok(()),
            Some(taint) => {
                let value = taint.value.as_deref().unwrap_or_default();
                let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
                Err(Refusal::for_good(reason))
            }
        }
    }

    fn score(&self, _slot: usize, node: &NodeInfo) -> i64 {
        let tolerations = &self.0.pod.spec.tolerations;
        let taints = taints(node).iter().filter(|taint| {
            taint.effect == "PreferNoSchedule"
                && !tolerations.iter().any(|own| tolerates(own, taint))
        });
        i64::try_from(taints.count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, _feasible: &[(usize, &NodeInfo)], scores: &mut [i64]) {
        scale(scores, true);
    }
}
