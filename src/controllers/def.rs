//! The row of a controller: its name, what it follows, what it does with a key.

use crate::client::{Client, ClientError, EventRecorder, WorkQueue};
use crate::controllers::disruption::Budgets;
use crate::controllers::horizontal_pod_autoscaler::Histories;
use crate::controllers::members::{Members, Selectors};
use crate::controllers::taint_eviction::Taints;
use crate::controllers::workloads::daemon_set::Delays;
use crate::controllers::workloads::job::Memory as JobMemory;
use crate::meta::{Object, ObjectKey};
use crate::stdx::Clock;
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a reconciler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    /// Acts as the controller's own service account.
    pub(crate) client: Client,
    /// Acts as `system:kube-controller-manager`, which may list and watch everything: for what a
    /// controller of Kubernetes reads from the caches that all of them share.
    pub(crate) shared: Client,
    pub(crate) trust: Arc<Trust>,
    /// Records Events in the name of the controller.
    pub(crate) events: EventRecorder,
    /// Who belongs to whom.
    pub(crate) caches: Arc<Caches>,
    pub(crate) clock: Clock,
    /// When the controllers started: what was before, nobody saw.
    pub(crate) started: Timestamp,
}

/// What the workloads share: who belongs to whom, and which selectors there are.
#[derive(Default)]
pub(crate) struct Caches {
    /// All pods.
    pub(crate) pods: Members,
    /// All Jobs.
    pub(crate) jobs: Members,
    /// All ReplicaSets.
    pub(crate) replica_sets: Members,
    /// All ControllerRevisions.
    pub(crate) revisions: Members,
    /// All nodes.
    pub(crate) nodes: Members,
    /// How long failed pods of DaemonSets stay.
    pub(crate) daemon_delays: Delays,
    /// The selectors of the workloads, by what they are.
    pub(crate) selectors: SelectorsOf,
    /// What has failed of the Jobs that run.
    pub(crate) job_failures: JobMemory,
    /// Which pods a PodDisruptionBudget is for.
    pub(crate) budgets: Budgets,
    /// What autoscalers have wanted and done lately.
    pub(crate) histories: Histories,
    /// What drives pods away from nodes.
    pub(crate) taints: Taints,
}

/// The selectors of each resource that counts its members.
#[derive(Default)]
pub(crate) struct SelectorsOf {
    /// Of Deployments.
    pub(crate) deployments: Arc<Selectors>,
    /// Of Jobs.
    pub(crate) jobs: Arc<Selectors>,
    /// Of ReplicaSets.
    pub(crate) replica_sets: Arc<Selectors>,
    /// Of ReplicationControllers.
    pub(crate) replication_controllers: Arc<Selectors>,
    /// Of DaemonSets.
    pub(crate) daemon_sets: Arc<Selectors>,
    /// Of StatefulSets.
    pub(crate) stateful_sets: Arc<Selectors>,
}

impl Caches {
    /// The resources whose members are kept: the feeds that always run.
    pub(crate) const RESOURCES: &'static [(&'static str, &'static str, &'static str)] = &[
        ("", "v1", "pods"),
        ("apps", "v1", "replicasets"),
        ("apps", "v1", "controllerrevisions"),
        ("", "v1", "nodes"),
        ("batch", "v1", "jobs"),
    ];

    /// The members of a resource, if they are kept.
    pub(crate) fn members(&self, resource: &str) -> Option<&Members> {
        match resource {
            "pods" => Some(&self.pods),
            "jobs" => Some(&self.jobs),
            "replicasets" => Some(&self.replica_sets),
            "controllerrevisions" => Some(&self.revisions),
            "nodes" => Some(&self.nodes),
            _ => None,
        }
    }

    /// The selectors of a resource, if they are kept.
    pub(crate) fn selectors(&self, resource: &str) -> Option<&Arc<Selectors>> {
        match resource {
            "deployments" => Some(&self.selectors.deployments),
            "jobs" => Some(&self.selectors.jobs),
            "replicasets" => Some(&self.selectors.replica_sets),
            "replicationcontrollers" => Some(&self.selectors.replication_controllers),
            "daemonsets" => Some(&self.selectors.daemon_sets),
            "statefulsets" => Some(&self.selectors.stateful_sets),
            _ => None,
        }
    }
}

/// Signs the token that a Secret of a namespace keeps for an account (name, unique id).
pub type SignToken = Box<dyn Fn(&str, &str, (&str, &str)) -> Result<String, String> + Send + Sync>;

/// By what others know the cluster.
pub struct Trust {
    /// The authority's certificate.
    pub ca_pem: String,
    /// Signs tokens.
    pub sign: SignToken,
}

/// What a reconciler asks for after it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something changes.
    Wait,
    /// To be called again after a while.
    After(Duration),
}

/// Carries out what the object of a key needs.
pub(crate) type Reconcile = fn(Context, ObjectKey) -> BoxFuture<'static, Result<Next, ClientError>>;

/// Has a queue told of the members whose changes concern a controller.
pub(crate) type Listen = fn(&Arc<Caches>, WorkQueue<ObjectKey>);

/// A resource that is followed, and which key a change of it concerns.
pub(crate) struct Watched {
    /// Group, version, plural.
    pub(crate) resource: (&'static str, &'static str, &'static str),
    /// A field selector, may be empty.
    pub(crate) fields: &'static str,
    /// The key that a change of this object concerns; `None` if none.
    pub(crate) key: fn(&Object) -> Option<ObjectKey>,
}

/// The row of a controller.
pub(crate) struct ControllerDef {
    /// Kubernetes' name for it.
    pub(crate) name: &'static str,
    /// The service account in `kube-system` that it acts as; none for what the manager does itself.
    pub(crate) account: Option<&'static str>,
    /// What it follows.
    pub(crate) watches: &'static [Watched],
    /// Called once: has the queue told of the members whose changes concern the controller.
    pub(crate) listen: Option<Listen>,
    /// Keys that are worked on at the same time.
    pub(crate) workers: usize,
    /// What it does.
    pub(crate) reconcile: Reconcile,
}
