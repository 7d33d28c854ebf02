//! The workers of a node: one task a pod, woken when its pod or one of its containers changed. A
//! panic in one ends that pod's containers and starts its worker anew after a while; the others do
//! not notice.

use crate::kubelet::node::Node;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::{ContainerStats, RunningContainer};
use crate::kubelet::state::{PodState, Verdict};
use crate::kubelet::sync_pod::{End, Worker};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a pod waits after its worker panicked.
const PANIC_DELAY: Duration = Duration::from_secs(10);
/// Workers of one node beyond the pods that it may have: pods that end, and pods that it rejects.
const WORKERS_BEYOND_PODS: usize = 10_000;

/// What the outside tells a worker.
#[derive(Default)]
struct Inbox {
    removed: bool,
    verdict: Option<Verdict>,
}

/// One pod of the node, shared by its worker and those who look at it.
pub(super) struct PodEntry {
    uid: String,
    pod: Mutex<Arc<Pod>>,
    inbox: Mutex<Inbox>,
    /// What is known of the pod.
    pub(super) state: Mutex<PodState>,
    /// The containers that run.
    pub(super) running: Mutex<HashMap<String, Arc<dyn RunningContainer>>>,
    /// Wakes the worker.
    pub(super) changed: Notify,
    /// When the node first saw the pod; taken when it has begun to run.
    pub(super) seen: Mutex<Option<Instant>>,
}

impl PodEntry {
    fn new(pod: Arc<Pod>, state: PodState, seen: Option<Instant>) -> Self {
        Self {
            uid: pod_spec::uid(&pod).to_owned(),
            pod: Mutex::new(pod),
            inbox: Mutex::default(),
            state: Mutex::new(state),
            running: Mutex::default(),
            changed: Notify::new(),
            seen: Mutex::new(seen),
        }
    }

    /// `metadata.uid`.
    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// The pod as the server last showed it.
    pub(super) fn pod(&self) -> Arc<Pod> {
        self.pod.lock().clone()
    }

    /// Takes what the outside has told.
    pub(super) fn take_inbox(&self) -> (bool, Option<Verdict>) {
        let mut inbox = self.inbox.lock();
        (inbox.removed, inbox.verdict.take())
    }

    /// What the pod's containers use.
    pub(super) fn stats(&self) -> Vec<(String, ContainerStats)> {
        let running = self.running.lock();
        let stats = running.iter().map(|(name, c)| (name.clone(), c.stats()));
        stats.collect()
    }

    /// The node ends the pod.
    pub(super) fn end(&self, verdict: Verdict) {
        self.inbox.lock().verdict = Some(verdict);
        self.changed.notify_one();
    }
}

/// The workers of one node.
pub(super) struct PodWorkers {
    node: Arc<Node>,
    entries: Mutex<HashMap<String, Arc<PodEntry>>>,
    /// Told when a worker has ended for good.
    ended: Notify,
}

impl PodWorkers {
    pub(super) fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self {
            node,
            entries: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// The pod with this uid.
    pub(super) fn get(&self, uid: &str) -> Option<Arc<PodEntry>> {
        self.entries.lock().get(uid).cloned()
    }

    /// All pods, in no order.
    pub(super) fn list(&self) -> Vec<Arc<PodEntry>> {
        self.entries.lock().values().cloned().collect()
    }

    /// The pod is there, or has changed. `state` makes the state of one that is new.
    pub(super) fn applied(
        self: &Arc<Self>,
        pod: &Arc<Pod>,
        state: impl FnOnce() -> Option<PodState>,
    ) {
        let uid = pod_spec::uid(pod);
        if let Some(entry) = self.get(uid) {
            *entry.pod.lock() = pod.clone();
            entry.changed.notify_one();
            return;
        }
        let Some(state) = state() else { return };
        // One that ran before this process did is not started for the first time.
        let fresh = pod.status.as_ref().is_none_or(|s| s.start_time.is_none());
        let seen = fresh.then(|| self.node.clock.instant());
        let limit = self.node.capacity.pods as usize + WORKERS_BEYOND_PODS;
        let mut entries = self.entries.lock();
        if entries.len() >= limit {
            let pod = pod_spec::name(pod);
            tracing::error!(node = %self.node.name, pod, "too many pods, this one is not looked at");
            return;
        }
        let entry = Arc::new(PodEntry::new(pod.clone(), state, seen));
        entries.insert(uid.to_owned(), entry.clone());
        drop(entries);
        let workers = self.clone();
        self.node.shutdown.spawn(workers.work(entry));
    }

    /// The pod's object is gone.
    pub(super) fn removed(&self, uid: &str) {
        if let Some(entry) = self.get(uid) {
            entry.inbox.lock().removed = true;
            entry.changed.notify_one();
        }
    }

    async fn work(self: Arc<Self>, entry: Arc<PodEntry>) {
        loop {
            let worker = Worker::new(self.node.clone(), entry.clone());
            match AssertUnwindSafe(worker.run()).catch_unwind().await {
                Ok(End::Stopped) => return,
                Ok(End::Forgotten) => {
                    self.entries.lock().remove(entry.uid());
                    self.ended.notify_waiters();
                    return;
                }
                Err(_) => {
                    let pod = entry.pod();
                    let (namespace, name) = (pod_spec::namespace(&pod), pod_spec::name(&pod));
                    let node = &self.node.name;
                    tracing::error!(%node, pod = %format!("{namespace}/{name}"),
                        "the pod's worker panicked, its containers are ended");
                    self.after_panic(&entry);
                    self.node.clock.sleep(PANIC_DELAY).await;
                }
            }
        }
    }

    /// Nothing of what the worker held is left, so nothing of the pod may go on running.
    fn after_panic(&self, entry: &PodEntry) {
        for (_, container) in entry.running.lock().drain() {
            container.kill();
        }
        self.node.fabric.remove_pod(entry.uid());
        let pod = entry.pod();
        let now = self.node.clock.now();
        let mut state = entry.state.lock();
        let recovered = state.clone().recovered(&pod, now);
        *state = recovered;
        state.forget_process();
    }
}
