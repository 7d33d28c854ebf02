//! What the scheduler reads of pods and nodes, and nothing else: these views are all that its
//! caches hold.

use crate::client::{HasMeta, Meta};
use crate::meta::ObjectKey;
use k8s_openapi::api::core::v1::{NodeAffinity, Taint, Toleration};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts as they stand in an object: name to quantity.
pub(crate) type Quantities = BTreeMap<String, Value>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodView {
    pub(crate) metadata: PodMeta,
    pub(crate) spec: PodSpecView,
    pub(crate) status: PodStatusView,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodMeta {
    #[serde(flatten)]
    pub(crate) own: Meta,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) owner_references: Vec<OwnerView>,
    pub(crate) deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpecView {
    pub(crate) node_name: String,
    pub(crate) scheduler_name: String,
    pub(crate) priority: i32,
    pub(crate) preemption_policy: String,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) affinity: AffinityView,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) containers: Vec<ContainerView>,
    pub(crate) init_containers: Vec<ContainerView>,
    pub(crate) overhead: Quantities,
    pub(crate) host_network: bool,
    pub(crate) scheduling_gates: Vec<Value>,
    pub(crate) topology_spread_constraints: Vec<SpreadView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AffinityView {
    pub(crate) node_affinity: Option<NodeAffinity>,
    pub(crate) pod_affinity: PodAffinityView,
    pub(crate) pod_anti_affinity: PodAffinityView,
}

/// Affinity to pods, or against them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodAffinityView {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) required: Vec<TermView>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub(crate) preferred: Vec<WeightedTermView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WeightedTermView {
    pub(crate) weight: i64,
    pub(crate) pod_affinity_term: TermView,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TermView {
    pub(crate) label_selector: Option<Value>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) namespace_selector: Option<Value>,
    pub(crate) topology_key: String,
    pub(crate) match_label_keys: Vec<String>,
    pub(crate) mismatch_label_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SpreadView {
    pub(crate) label_selector: Option<Value>,
    pub(crate) topology_key: String,
    pub(crate) max_skew: i64,
    pub(crate) min_domains: Option<i64>,
    pub(crate) when_unsatisfiable: String,
    pub(crate) node_affinity_policy: Option<String>,
    pub(crate) node_taints_policy: Option<String>,
    pub(crate) match_label_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerView {
    pub(crate) image: String,
    pub(crate) resources: ResourcesView,
    pub(crate) ports: Vec<PortView>,
    pub(crate) restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResourcesView {
    pub(crate) requests: Quantities,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PortView {
    pub(crate) container_port: u16,
    pub(crate) host_port: u16,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: String,
    pub(crate) protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatusView {
    pub(crate) phase: String,
    pub(crate) nominated_node_name: String,
    pub(crate) start_time: String,
    pub(crate) conditions: Vec<ConditionView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConditionView {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl PodView {
    /// Whether the pod has ended and holds nothing of its node any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl HasMeta for PodView {
    fn key(&self) -> ObjectKey {
        ObjectKey::new(
            self.metadata.own.namespace.clone(),
            self.metadata.own.name.clone(),
        )
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeView {
    pub(crate) metadata: NodeMeta,
    pub(crate) spec: NodeSpecView,
    pub(crate) status: NodeStatusView,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeMeta {
    #[serde(flatten)]
    pub(crate) own: Meta,
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpecView {
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatusView {
    pub(crate) allocatable: Quantities,
    pub(crate) images: Vec<ImageView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImageView {
    pub(crate) names: Vec<String>,
    pub(crate) size_bytes: i64,
}

/// A namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceView {
    pub(crate) metadata: NodeMeta,
}

impl HasMeta for NamespaceView {
    fn key(&self) -> ObjectKey {
        ObjectKey::new("", self.metadata.own.name.clone())
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnerView {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) controller: bool,
}

/// Something that selects pods: a Service, a ReplicaSet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SelectingView {
    pub(crate) metadata: NodeMeta,
    pub(crate) spec: BudgetSpecView,
}

impl HasMeta for SelectingView {
    fn key(&self) -> ObjectKey {
        let own = &self.metadata.own;
        ObjectKey::new(own.namespace.clone(), own.name.clone())
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetView {
    pub(crate) metadata: NodeMeta,
    pub(crate) spec: BudgetSpecView,
    pub(crate) status: BudgetStatusView,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetSpecView {
    pub(crate) selector: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BudgetStatusView {
    pub(crate) disruptions_allowed: i64,
    pub(crate) disrupted_pods: BTreeMap<String, Value>,
}

impl HasMeta for BudgetView {
    fn key(&self) -> ObjectKey {
        let own = &self.metadata.own;
        ObjectKey::new(own.namespace.clone(), own.name.clone())
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}

impl HasMeta for NodeView {
    fn key(&self) -> ObjectKey {
        ObjectKey::new("", self.metadata.own.name.clone())
    }

    fn resource_version(&self) -> &str {
        &self.metadata.own.resource_version
    }
}
