//! TaintToleration: a node's taints repel the pods that do not tolerate them; taints that only ask
//! to be avoided lower the score.
//! Kubernetes: core/v1 `Toleration.ToleratesTaint`.

use crate::resources::placement::tolerates;
use crate::sched::cycle::Refusal;
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::plugins::{Plugin, scale};
use k8s_openapi::api::core::v1::Taint;

pub(crate) struct TaintToleration;

fn untolerated<'a>(
    pod: &PodInfo,
    node: &'a NodeInfo,
    effects: &'a [&str],
) -> impl Iterator<Item = &'a Taint> {
    let tolerations = pod.pod.spec.tolerations.clone();
    let taints = node
        .node
        .as_ref()
        .map(|node| node.spec.taints.as_slice())
        .unwrap_or_default();
    taints.iter().filter(move |taint| {
        effects.contains(&taint.effect.as_str())
            && !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
    })
}

impl Plugin for TaintToleration {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        match untolerated(pod, node, &["NoSchedule", "NoExecute"]).next() {
            None => Ok(()),
            Some(taint) => {
                let value = taint.value.as_deref().unwrap_or_default();
                let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
                Err(Refusal::for_good(reason))
            }
        }
    }

    fn weight(&self) -> i64 {
        3
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let count = untolerated(pod, node, &["PreferNoSchedule"]).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        scale(scores, true);
    }
}
