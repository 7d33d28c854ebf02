//! On which nodes a DaemonSet runs a pod, and the pod that is pinned to a node. Pure.
//! Kubernetes: `pkg/controller/daemon` NodeShouldRunDaemonPod, `util/daemonset_util.go`.

use crate::controllers::members::Member;
use crate::controllers::workloads::history::REVISION_LABEL;
use crate::controllers::workloads::{Flavor, pod_control};
use crate::meta::Object;
use crate::resources::placement::{self, Place};
use k8s_openapi::api::core::v1::{NodeSelector, Toleration};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The label of a pod that bears the number of its template, for old clients.
pub(super) const GENERATION_LABEL: &str = "pod-template-generation";
/// Where the DaemonSet bears that number.
pub(super) const GENERATION: &str = "deprecated.daemonset.template.generation";

/// What pods of DaemonSets endure besides what their template says: (key, effect).
const TOLERATIONS: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// And those on the host's network.
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

impl Place for Member {
    fn name(&self) -> &str {
        &self.key.name
    }

    fn label(&self, key: &str) -> Option<&str> {
        Member::label(self, key)
    }
}

/// What of a pod's spec says where it may run.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Wishes {
    node_name: String,
    node_selector: BTreeMap<String, String>,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: NodeAffinity,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

/// The template of a DaemonSet, as far as it says where pods may run.
pub(super) struct Placement(Wishes);

impl Placement {
    pub(super) fn new(daemons: &Object) -> Self {
        let spec = template(daemons).get("spec").cloned().unwrap_or_default();
        Self(serde_json::from_value(spec).unwrap_or_default())
    }

    /// Whether a pod is to be on a node, and whether one that is there may stay.
    pub(super) fn of(&self, node: &Member) -> (bool, bool) {
        let wishes = &self.0;
        let named = wishes.node_name.is_empty() || *wishes.node_name == *node.key.name;
        let mut wanted = wishes.node_selector.iter();
        let selected = wanted.all(|(key, value)| node.label(key) == Some(value));
        let node_affinity = &wishes.affinity.node_affinity;
        let required = node_affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref();
        if !named || !selected || !required.is_none_or(|of| placement::selects(of, node)) {
            return (false, false);
        }
        let repelled = |effects: &[&str]| {
            placement::untolerated(&node.taints, &wishes.tolerations, effects).is_some()
        };
        if repelled(&["NoSchedule", "NoExecute"]) {
            return (false, !repelled(&["NoExecute"]));
        }
        (true, true)
    }
}

/// The template with the tolerations of every DaemonSet.
fn template(daemons: &Object) -> Value {
    let template = daemons.get(&["spec", "template"]).cloned();
    let mut template = Object::from_value(template.unwrap_or_default()).unwrap_or_default();
    let listed = template.get(&["spec", "tolerations"]);
    let mut tolerations = listed
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let host = template.get(&["spec", "hostNetwork"]) == Some(&Value::Bool(true));
    for (key, effect) in TOLERATIONS.into_iter().chain(host.then_some(NETWORK)) {
        let added = json!({"key": key, "operator": "Exists", "effect": effect});
        if !tolerations.contains(&added) {
            tolerations.push(added);
        }
    }
    template.set(&["spec", "tolerations"], Value::Array(tolerations));
    template.into_value()
}

/// The pods of a DaemonSet, of which each is pinned to a node.
pub(super) struct Cast(Object);

impl Cast {
    pub(super) fn new((flavor, daemons): (&Flavor, &Object), hash: &str) -> Self {
        let reference = flavor.owner_reference(daemons);
        let pod = pod_control::pod_of_template(&template(daemons), daemons, reference);
        let mut pod = Object::from_value(pod).unwrap_or_default();
        if let Some(generation) = daemons.annotation(GENERATION) {
            let generation = json!(generation);
            pod.set(&["metadata", "labels", GENERATION_LABEL], generation);
        }
        pod.set(&["metadata", "labels", REVISION_LABEL], json!(hash));
        Self(pod)
    }

    /// The pod of a node.
    pub(super) fn pinned_to(&self, node: &str) -> Value {
        let mut pod = self.0.clone();
        let by_name = json!({"key": "metadata.name", "operator": "In", "values": [node]});
        let terms = json!([{ "matchFields": [by_name] }]);
        let path = [
            "spec",
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeSelectorTerms",
        ];
        pod.set(&path, terms);
        pod.into_value()
    }
}
