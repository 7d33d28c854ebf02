//! The driver: follows pods and nodes, takes one pod after the other off the queue, decides, and
//! binds beside the next decision. A pod that is decided on counts as on its node at once.

use crate::client::{Change, Client, EventRecorder, HasMeta, Informer, InformerConfig};
use crate::meta::{GroupVersionResource, ObjectKey};
use crate::sched::bind;
use crate::sched::cycle::{Decision, decide};
use crate::sched::metrics::{Attempt, SchedulerMetrics};
use crate::sched::node_info::{NodeInfo, PodInfo};
use crate::sched::queue::{Queue, Waiting};
use crate::sched::view::{NodeView, PodView};
use crate::stdx::{Clock, Metrics, Shutdown};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};

/// `spec.schedulerName` of the pods that are ours.
pub const SCHEDULER_NAME: &str = "default-scheduler";
/// Bindings that are written at the same time.
const BINDINGS_IN_FLIGHT_MAX: usize = 64;

/// What a scheduler is made of.
pub struct SchedulerConfig {
    /// Acts as `system:kube-scheduler`.
    pub client: Client,
    /// The clock.
    pub clock: Clock,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Where its figures go.
    pub metrics: Metrics,
}

/// A running scheduler.
pub struct Scheduler {
    pods: Informer<PodView>,
    nodes: Informer<NodeView>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// By name, so that nodes come in a stable order.
    nodes: BTreeMap<String, NodeInfo>,
    /// On which node each pod counts, assumed or bound.
    placed: HashMap<ObjectKey, String>,
    /// Where the next search begins.
    start: usize,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    client: Client,
    events: EventRecorder,
    clock: Clock,
    bindings: Arc<Semaphore>,
    metrics: SchedulerMetrics,
}

impl Scheduler {
    /// Starts to schedule, until `shutdown`.
    pub fn start(config: SchedulerConfig) -> Self {
        let SchedulerConfig {
            client,
            clock,
            shutdown,
            metrics,
        } = config;
        let events =
            EventRecorder::start(client.clone(), SCHEDULER_NAME, "", clock.clone(), &shutdown);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Notify::new(),
            client: client.clone(),
            events,
            clock: clock.clone(),
            bindings: Arc::new(Semaphore::new(BINDINGS_IN_FLIGHT_MAX)),
            metrics: SchedulerMetrics::new(&metrics),
        });
        let counted = Arc::downgrade(&shared);
        SchedulerMetrics::pending(&metrics, move || {
            let shared = counted.upgrade();
            shared.map_or_else(Default::default, |shared| {
                shared.state.lock().queue.counts()
            })
        });
        let resource = |name| InformerConfig::all(GroupVersionResource::new("", "v1", name));
        let told = shared.clone();
        let nodes = Informer::start(
            client.clone(),
            resource("nodes"),
            clock.clone(),
            &shutdown,
            move |change| told.node_changed(change),
        );
        let told = shared.clone();
        let pods = Informer::start(client, resource("pods"), clock, &shutdown, move |change| {
            told.pod_changed(change);
        });
        let ready = (pods.clone(), nodes.clone());
        let spawner = shutdown.clone();
        shutdown.spawn_until_stopped(async move {
            // Pods of the first list that are bound must count before the first decision.
            if ready.0.synced().await && ready.1.synced().await {
                shared.run(&spawner).await;
            }
        });
        Self { pods, nodes }
    }

    /// Waits until the caches are filled: from then on each new pod is seen at once.
    pub async fn ready(&self) -> bool {
        self.pods.synced().await && self.nodes.synced().await
    }
}

impl Shared {
    async fn run(self: Arc<Self>, shutdown: &Shutdown) {
        loop {
            let now = self.clock.instant();
            let (next, timer) = {
                let mut state = self.state.lock();
                (state.queue.pop(now), state.queue.next_timer())
            };
            match (next, timer) {
                (Some((waiting, moves)), _) => self.clone().one(waiting, moves, shutdown).await,
                (None, Some(at)) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = self.clock.sleep(at.saturating_duration_since(now)) => {}
                },
                (None, None) => self.wake.notified().await,
            }
        }
    }

    async fn one(self: Arc<Self>, waiting: Waiting, moves: u64, shutdown: &Shutdown) {
        let Waiting { key, pod, .. } = waiting;
        let began = self.clock.instant();
        let decision = {
            let mut state = self.state.lock();
            let nodes: Vec<&NodeInfo> = state.nodes.values().collect();
            let (decision, looked_at) = decide(&pod, &nodes, state.start);
            state.start = state.start.wrapping_add(looked_at);
            if let Decision::Node(name) = &decision {
                state.place(&key, name, pod.clone());
            }
            decision
        };
        let Ok(permit) = self.bindings.clone().acquire_owned().await else {
            return;
        };
        let shared = self.clone();
        shutdown.spawn_until_stopped(async move {
            let attempt = shared.carry_out(key, &pod, decision, moves).await;
            let took = shared.clock.instant().saturating_duration_since(began);
            shared.metrics.attempt(attempt, took);
            drop(permit);
        });
    }

    async fn carry_out(
        &self,
        key: ObjectKey,
        pod: &PodInfo,
        decision: Decision,
        moves: u64,
    ) -> Attempt {
        let attempt = match decision {
            Decision::Node(node) => {
                let bound = bind::bind(&self.client, &self.events, &pod.pod, &node).await;
                let Err(error) = bound else {
                    return Attempt::Scheduled;
                };
                let now = self.clock.instant();
                let mut state = self.state.lock();
                state.unplace(&key);
                if error.is_not_found() {
                    state.queue.remove(&key);
                } else {
                    tracing::warn!(pod = %key, node, %error, "binding failed, trying again");
                    state.queue.failed(&key, now);
                    // Another pod may have been refused for the place that is free again.
                    state.queue.move_all(now);
                }
                Attempt::Error
            }
            Decision::Nowhere(message) => {
                let now = self.clock.instant();
                self.state.lock().queue.unschedulable(&key, now, moves);
                let wall = self.clock.now();
                let told =
                    bind::tell_unschedulable(&self.client, &self.events, &pod.pod, &message, wall);
                if let Err(error) = told.await
                    && !error.is_not_found()
                {
                    tracing::warn!(pod = %key, %error, "the pod's condition was not written");
                }
                Attempt::Unschedulable
            }
        };
        self.wake.notify_one();
        attempt
    }

    fn node_changed(&self, change: Change<NodeView>) {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        match change {
            Change::Applied(node, before) => {
                let helps = before.as_ref().is_none_or(|before| {
                    before.spec.unschedulable != node.spec.unschedulable
                        || before.spec.taints != node.spec.taints
                        || before.metadata.labels != node.metadata.labels
                        || before.status.allocatable != node.status.allocatable
                });
                let name = node.metadata.own.name.clone();
                state.nodes.entry(name).or_default().set_node(node);
                if helps {
                    state.queue.move_all(now);
                }
            }
            Change::Deleted(node) => {
                let name = &node.metadata.own.name;
                // Its pods may outlive it; they count again should it come back.
                let empty = state.nodes.get_mut(name).is_none_or(|info| {
                    info.node = None;
                    info.pods.is_empty()
                });
                if empty {
                    state.nodes.remove(name);
                }
            }
            Change::Synced => {}
        }
        drop(state);
        self.wake.notify_one();
    }

    fn pod_changed(&self, change: Change<PodView>) {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        match change {
            Change::Applied(pod, _) => {
                let key = pod.key();
                if !pod.spec.node_name.is_empty() {
                    state.queue.remove(&key);
                    if pod.has_ended() {
                        if state.unplace(&key) {
                            state.queue.move_all(now);
                        }
                    } else {
                        let node = pod.spec.node_name.clone();
                        state.place(&key, &node, Arc::new(PodInfo::new(pod)));
                    }
                } else if is_ours(&pod) {
                    if !state.placed.contains_key(&key) {
                        state.queue.add(key, Arc::new(PodInfo::new(pod)));
                    }
                } else {
                    state.queue.remove(&key);
                }
            }
            Change::Deleted(pod) => {
                let key = pod.key();
                state.queue.remove(&key);
                if state.unplace(&key) {
                    state.queue.move_all(now);
                }
            }
            Change::Synced => {}
        }
        drop(state);
        self.wake.notify_one();
    }
}

/// Whether an unbound pod is for this scheduler and may be scheduled now.
fn is_ours(pod: &PodView) -> bool {
    let name = &pod.spec.scheduler_name;
    (name.is_empty() || name == SCHEDULER_NAME)
        && pod.metadata.deletion_timestamp.is_none()
        && pod.spec.scheduling_gates.is_empty()
        && !pod.has_ended()
}

impl State {
    fn place(&mut self, key: &ObjectKey, node: &str, pod: Arc<PodInfo>) {
        if self.placed.get(key).is_some_and(|own| own != node) {
            self.unplace(key);
        }
        self.nodes
            .entry(node.to_owned())
            .or_default()
            .add_pod(key.clone(), pod);
        self.placed.insert(key.clone(), node.to_owned());
    }

    /// Whether the pod was on a node.
    fn unplace(&mut self, key: &ObjectKey) -> bool {
        let Some(node) = self.placed.remove(key) else {
            return false;
        };
        let Some(info) = self.nodes.get_mut(&node) else {
            return false;
        };
        info.remove_pod(key)
    }
}
