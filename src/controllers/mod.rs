//! Reconcilers, each a pure plan and a thin driver: one file and one line in the list. A reconciler
//! is told a key, never what changed: it reads, decides, does, and is called again when it fails.
//! Must never touch store, net or wasm.
//! Kubernetes: kube-controller-manager; names are its own.

mod account_tokens;
mod cluster_role_aggregation;
mod def;
mod disruption;
mod garbage_collector;
mod horizontal_pod_autoscaler;
mod job_facts;
mod manager;
mod members;
mod namespace;
mod node_lifecycle;
mod pod_gc;
mod resource_quota;
mod root_ca_publisher;
mod scale;
mod service_account;
mod storage_protection;
mod taint_eviction;
mod workloads;

pub use def::{SignToken, Trust};
pub use manager::{Controllers, ControllersConfig};
pub use node_lifecycle::{ACCOUNT as NODE_CONTROLLER, mark_silent};

use def::ControllerDef;

/// The controllers.
pub(crate) static CONTROLLERS: &[&ControllerDef] = &[
    &account_tokens::CONTROLLER,
    &cluster_role_aggregation::CONTROLLER,
    &disruption::CONTROLLER,
    &disruption::STALE,
    &horizontal_pod_autoscaler::CONTROLLER,
    &namespace::CONTROLLER,
    &node_lifecycle::CONTROLLER,
    &pod_gc::CONTROLLER,
    &root_ca_publisher::CONTROLLER,
    &resource_quota::CONTROLLER,
    &service_account::CONTROLLER,
    &storage_protection::CLAIMS,
    &storage_protection::VOLUMES,
    &workloads::daemon_set::CONTROLLER,
    &taint_eviction::CONTROLLER,
    &workloads::cron_job::CONTROLLER,
    &workloads::deployment::CONTROLLER,
    &workloads::job::CONTROLLER,
    &workloads::job::ORPHANS,
    &workloads::job::TTL,
    &workloads::replica_set::REPLICATION_CONTROLLERS,
    &workloads::replica_set::REPLICA_SETS,
    &workloads::stateful_set::CONTROLLER,
];
