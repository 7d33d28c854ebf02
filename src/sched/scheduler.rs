//! The driver: follows pods and nodes, takes one pod after the other off the queue, decides, and
//! binds beside the next decision. A pod that is decided on counts as on its node at once.

use crate::client::{Change, Client, EventRecorder, HasMeta, Informer, InformerConfig};
use crate::meta::{GroupVersionResource, ObjectKey};
use crate::sched::bind;
use crate::sched::cluster::Cluster;
use crate::sched::cycle::{Decision, Nowhere, decide};
use crate::sched::hints::{Event, NodeChange};
use crate::sched::metrics::{Attempt, SchedulerMetrics};
use crate::sched::node_info::PodInfo;
use crate::sched::plugins::PLUGINS;
use crate::sched::queue::{Queue, Waiting};
use crate::sched::rival::Rival;
use crate::sched::selecting::{SELECTING, Selecting};
use crate::sched::terms::Spread;
use crate::sched::view::{BudgetView, NamespaceView, NodeView, PodView, SelectingView};
use crate::stdx::{Clock, Metrics, Shutdown};
use parking_lot::Mutex;
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
#[derive(Clone)]
pub struct Scheduler {
    pods: Informer<PodView>,
    nodes: Informer<NodeView>,
    namespaces: Informer<NamespaceView>,
    budgets: Informer<BudgetView>,
    selecting: Vec<Informer<SelectingView>>,
}

#[derive(Default)]
struct State {
    /// Who else belongs together with a pod.
    selecting: Selecting,
    queue: Queue,
    cluster: Cluster,
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
    rival: Rival,
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
            rival: Rival::default(),
        });
        let counted = Arc::downgrade(&shared);
        SchedulerMetrics::pending(&metrics, move || {
            let shared = counted.upgrade();
            shared.map_or_else(Default::default, |shared| {
                shared.state.lock().queue.counts()
            })
        });
        let follow = |group, version, plural| {
            InformerConfig::all(GroupVersionResource::new(group, version, plural))
        };
        let (told, (from, at)) = (shared.clone(), (client.clone(), clock.clone()));
        let nodes = Informer::start(
            from,
            follow("", "v1", "nodes"),
            at,
            &shutdown,
            move |change| {
                told.node_changed(change);
            },
        );
        let (told, (from, at)) = (shared.clone(), (client.clone(), clock.clone()));
        let config = follow("", "v1", "namespaces");
        let namespaces = Informer::start(from, config, at, &shutdown, move |change| {
            told.namespace_changed(change);
        });
        let (told, (from, at)) = (shared.clone(), (client.clone(), clock.clone()));
        let config = follow("policy", "v1", "poddisruptionbudgets");
        let budgets = Informer::start(from, config, at, &shutdown, move |change| {
            told.budget_changed(change);
        });
        let selecting = SELECTING.map(|(group, version, plural, kind)| {
            let (told, (from, at)) = (shared.clone(), (client.clone(), clock.clone()));
            let config = follow(group, version, plural);
            Informer::start(from, config, at, &shutdown, move |change| {
                told.state.lock().selecting.changed(kind, &change);
            })
        });
        let told = shared.clone();
        let config = follow("", "v1", "pods");
        let pods = Informer::start(client, config, clock, &shutdown, move |change| {
            told.pod_changed(change);
        });
        let scheduler = Self {
            pods,
            nodes,
            namespaces,
            budgets,
            selecting: selecting.into(),
        };
        let (ready, spawner) = (scheduler.clone(), shutdown.clone());
        shutdown.spawn_until_stopped(async move {
            // Pods of the first list that are bound must count before the first decision.
            if ready.ready().await {
                shared.run(&spawner).await;
            }
        });
        scheduler
    }

    /// Waits until the caches are filled: from then on each new pod is seen at once.
    pub async fn ready(&self) -> bool {
        for selecting in &self.selecting {
            if !selecting.synced().await {
                return false;
            }
        }
        self.pods.synced().await
            && self.nodes.synced().await
            && self.namespaces.synced().await
            && self.budgets.synced().await
    }
}

impl Shared {
    async fn run(self: Arc<Self>, shutdown: &Shutdown) {
        loop {
            if let Some(wait) = self.rival.wait(&self.client, &self.clock).await {
                self.clock.sleep(wait).await;
                continue;
            }
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
        let decision = self.state.lock().decide(&key, &pod);
        let decided = self.clock.instant().saturating_duration_since(began);
        self.metrics.decided(decided);
        let Ok(permit) = self.bindings.clone().acquire_owned().await else {
            return;
        };
        let shared = self.clone();
        shutdown.spawn_until_stopped(async move {
            let attempt = match decision {
                Decision::Node(node) => shared.bind(key, &pod, node).await,
                Decision::Nowhere(why) => shared.refuse(key, &pod, why, moves).await,
            };
            shared.wake.notify_one();
            let took = shared.clock.instant().saturating_duration_since(began);
            shared.metrics.attempt(attempt, took);
            drop(permit);
        });
    }

    async fn bind(&self, key: ObjectKey, pod: &PodInfo, node: String) -> Attempt {
        let bound = bind::bind(&self.client, &self.events, &pod.pod, &node).await;
        let Err(error) = bound else {
            return Attempt::Scheduled;
        };
        let now = self.clock.instant();
        let mut state = self.state.lock();
        state.cluster.unplace(&key);
        if error.is_not_found() {
            state.queue.remove(&key);
        } else {
            tracing::warn!(pod = %key, node, %error, "binding failed, trying again");
            state.queue.failed(&key, now);
            // Another pod may have been refused for the place that is free again.
            state.queue.moved(now, !0, |_, _| true);
        }
        Attempt::Error
    }

    async fn refuse(&self, key: ObjectKey, pod: &PodInfo, why: Nowhere, moves: u64) -> Attempt {
        let now = self.clock.instant();
        let by = why.refused_by;
        self.state.lock().queue.unschedulable(&key, now, moves, by);
        if let Some((node, victims)) = &why.promise {
            for victim in victims {
                let wall = self.clock.now();
                let (client, events) = (&self.client, &self.events);
                let left = bind::preempt(client, events, &victim.pod, (&pod.pod, node), wall);
                if let Err(error) = left.await
                    && !error.is_not_found()
                {
                    tracing::warn!(pod = %victim.key(), %error, "the pod does not make room");
                }
            }
        }
        let promised = match &why.promise {
            Some((node, _)) => Some(node.as_str()),
            // A promise that did not help is taken back.
            None => (!why.keeps_promise).then_some(""),
        };
        let (wall, words) = (self.clock.now(), (why.message.as_str(), promised));
        let told = bind::tell_unschedulable(&self.client, &self.events, &pod.pod, words, wall);
        if let Err(error) = told.await
            && !error.is_not_found()
        {
            tracing::warn!(pod = %key, %error, "the pod's condition was not written");
        }
        Attempt::Unschedulable
    }

    fn node_changed(&self, change: Change<NodeView>) {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        match change {
            Change::Applied(node, before) => {
                let change = before.map_or(NodeChange::NEW, |before| NodeChange {
                    opened: before.spec.unschedulable && !node.spec.unschedulable,
                    labels: before.metadata.labels != node.metadata.labels,
                    taints: before.spec.taints != node.spec.taints,
                    allocatable: before.status.allocatable != node.status.allocatable,
                });
                let name = node.metadata.own.name.clone();
                state.cluster.set_node(node);
                if !change.is_none() {
                    state.node_moved(now, &name, change);
                }
            }
            Change::Deleted(node) => state.cluster.remove_node(&node.metadata.own.name),
            Change::Synced => {}
        }
        drop(state);
        self.wake.notify_one();
    }

    fn namespace_changed(&self, change: Change<NamespaceView>) {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        match change {
            Change::Applied(namespace, _) => {
                let (name, labels) = (&namespace.metadata.own.name, &namespace.metadata.labels);
                let all = &mut state.cluster.namespaces;
                let before = all.insert(name.clone(), labels.clone());
                if before.is_some_and(|before| before != *labels) {
                    state.happened(now, Event::Unknown);
                }
            }
            Change::Deleted(namespace) => {
                let name = &namespace.metadata.own.name;
                state.cluster.namespaces.remove(name);
            }
            Change::Synced => {}
        }
        drop(state);
        self.wake.notify_one();
    }

    fn budget_changed(&self, change: Change<BudgetView>) {
        let budgets = &mut self.state.lock().cluster.budgets;
        match change {
            Change::Applied(budget, _) => drop(budgets.insert(budget.key(), budget)),
            Change::Deleted(budget) => drop(budgets.remove(&budget.key())),
            Change::Synced => {}
        }
    }

    fn pod_changed(&self, change: Change<PodView>) {
        let now = self.clock.instant();
        let mut state = self.state.lock();
        match change {
            Change::Applied(pod, before) => {
                let key = pod.key();
                if !pod.spec.node_name.is_empty() {
                    state.bound(now, &key, pod);
                } else if is_ours(&pod) {
                    state.waits(&key, pod, before.as_deref());
                } else {
                    state.queue.remove(&key);
                    state.cluster.denominate(&key);
                }
            }
            Change::Deleted(pod) => {
                let key = pod.key();
                state.queue.remove(&key);
                state.cluster.denominate(&key);
                state.gone(now, &key);
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
    fn decide(&mut self, key: &ObjectKey, pod: &Arc<PodInfo>) -> Decision {
        let spread = self.spread_by_default(pod);
        let asked: &PodInfo = spread.as_ref().unwrap_or(pod);
        self.cluster.prepare(asked);
        let (decision, looked_at) = decide(asked, &self.cluster, self.start);
        self.start = self.start.wrapping_add(looked_at);
        match &decision {
            Decision::Node(name) => self.cluster.place(key, name, pod.clone()),
            Decision::Nowhere(why) => match &why.promise {
                Some((node, _)) => self.cluster.nominate(key, node, pod.clone()),
                None if !why.keeps_promise => self.cluster.denominate(key),
                None => {}
            },
        }
        decision
    }

    /// A pod that says nothing of how it is spread, with what is so by default; none if it does, or
    /// belongs to nobody.
    fn spread_by_default(&self, pod: &PodInfo) -> Option<PodInfo> {
        if !pod.spread.is_empty() || self.cluster.nodes().len() == 1 {
            return None;
        }
        let selectors = self.selecting.of(pod);
        (!selectors.is_empty()).then(|| PodInfo {
            spread: Spread::by_default(&selectors),
            spread_by_default: true,
            ..pod.clone()
        })
    }

    /// Tries again what this could help.
    fn happened(&mut self, now: tokio::time::Instant, event: Event<'_>) {
        let cluster = &self.cluster;
        self.queue
            .moved(now, event.reacting(), helps(&event, cluster));
    }

    fn node_moved(&mut self, now: tokio::time::Instant, name: &str, change: NodeChange) {
        let cluster = &self.cluster;
        let node = cluster.slot(name).and_then(|slot| cluster.node(slot));
        if let Some(node) = node {
            let event = Event::Node(node, change);
            self.queue
                .moved(now, event.reacting(), helps(&event, cluster));
        }
    }

    /// A pod is on a node.
    fn bound(&mut self, now: tokio::time::Instant, key: &ObjectKey, pod: Arc<PodView>) {
        self.queue.remove(key);
        if pod.has_ended() {
            self.gone(now, key);
            return;
        }
        let node = pod.spec.node_name.clone();
        let pod = Arc::new(PodInfo::new(pod));
        let before = self.cluster.pod(key).cloned();
        self.cluster.place(key, &node, pod.clone());
        match before {
            // It was decided on here, and now it is so: others may have waited for it.
            Some(before) if before.pod.spec.node_name.is_empty() => {
                self.happened(now, Event::PodCame(&pod));
            }
            // It says nothing new.
            Some(before) if before.class == pod.class && before.requests == pod.requests => {}
            Some(before) => self.happened(now, Event::PodChanged(&before, &pod)),
            None => self.happened(now, Event::PodCame(&pod)),
        }
    }

    fn gone(&mut self, now: tokio::time::Instant, key: &ObjectKey) {
        if let Some(pod) = self.cluster.unplace(key) {
            self.happened(now, Event::PodGone(&pod));
        }
    }

    /// A pod waits for a node.
    fn waits(&mut self, key: &ObjectKey, pod: Arc<PodView>, before: Option<&PodView>) {
        if self.cluster.is_placed(key) {
            return;
        }
        let promised = pod.status.nominated_node_name.clone();
        let info = Arc::new(PodInfo::new(pod));
        if before.map_or("", |before| &before.status.nominated_node_name) != promised {
            if promised.is_empty() {
                self.cluster.denominate(key);
            } else {
                self.cluster.nominate(key, &promised, info.clone());
            }
        }
        self.queue.add(key.clone(), info);
    }
}

/// Whether something that has happened could help a pod that these plugins refused.
fn helps<'a>(event: &'a Event<'a>, cluster: &'a Cluster) -> impl Fn(&PodInfo, u32) -> bool + 'a {
    move |pod, by| {
        let mut plugins = PLUGINS.iter().enumerate();
        // Where there were no nodes at all, nobody has refused it.
        by == 0 && matches!(event, Event::Node(..))
            || plugins
                .any(|(index, plugin)| by & (1 << index) != 0 && plugin.helps(event, pod, cluster))
    }
}
