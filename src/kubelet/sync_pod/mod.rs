//! One pod's worker: asks the pure half what to do, does it, notes what came of it, reports, waits.
//! It never waits inside a step: what takes time is one of its operations, and it wakes when one
//! is done, when the pod changed, or at the time that the plan named. What it does is in the files
//! beside, by what it is done to.

mod containers;
mod ending;
mod probing;
mod pulls;
mod resizing;
mod shared;

use crate::client::EventType;
use crate::kubelet::lifecycle::{Called, Hook, HookError};
use crate::kubelet::node::Node;
use crate::kubelet::pod_actions::{self, Action};
use crate::kubelet::pod_spec;
use crate::kubelet::pod_workers::PodEntry;
use crate::kubelet::probes::{Kind, Outcome};
use crate::kubelet::records::{Commit, PodRecord};
use crate::kubelet::report::{Answer, Reporter};
use crate::kubelet::runtime::{ContainerExit, ImageFailure, ImageInfo, RunningContainer};
use crate::kubelet::sandbox::SandboxParts;
use crate::kubelet::start::Configured;
use crate::kubelet::state::{PodState, Stop, later};
use crate::kubelet::unsupported;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Turns of one step; a plan that wants more turns in a circle.
const TURNS_MAX: usize = 64;
/// How long a pod whose sandbox could not be made waits.
const SANDBOX_RETRY: Duration = Duration::from_secs(10);
/// What containers get to end in when the node stops, before they are killed.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The pod is gone and nothing of it is left.
    Forgotten,
    /// The node stops.
    Stopped,
}

/// What came of an operation.
pub(super) enum Done {
    Sandbox(Result<SandboxParts, String>),
    Image {
        container: String,
        result: Result<ImageInfo, ImageFailure>,
        took: Duration,
        waited: Duration,
    },
    Configured {
        container: String,
        result: Result<Configured, String>,
    },
    Started {
        container: String,
        result: Result<Arc<dyn RunningContainer>, String>,
    },
    Exited {
        container: String,
        exit: ContainerExit,
    },
    /// The answer of a probe of the run with that id.
    Probed {
        container: String,
        id: String,
        kind: Kind,
        outcome: Outcome,
    },
    /// What came of a hook of the run with that id.
    Hooked {
        container: String,
        id: String,
        hook: Hook,
        result: Result<Called, HookError>,
    },
    Recorded(io::Result<()>),
    /// The answer to a written status.
    Told(Answer),
    /// The answer to the last deletion: true if the pod is gone.
    Deleted(Option<bool>),
}

pub(super) type Operations = FuturesUnordered<BoxFuture<'static, Done>>;

/// A pod's worker.
pub(super) struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) entry: Arc<PodEntry>,
    pub(super) operations: Operations,
    pub(super) sandbox: Option<SandboxParts>,
    pub(super) images: HashMap<String, ImageInfo>,
    pub(super) logs: HashMap<String, Arc<crate::kubelet::logs::ContainerLog>>,
    /// What the containers have, if the state names nothing else.
    given: resizing::Given,
    /// Containers whose start is under way, and how it is given up.
    starting: HashMap<String, CancellationToken>,
    reporter: Reporter,
    /// Whether any container has a probe.
    probed: bool,
    /// Entries of the journal that must be durable before anything else is done.
    recording: usize,
    /// Containers whose `ImagePullBackOff` was told by an Event.
    pull_backoffs_told: HashSet<String>,
    deleting: bool,
    delete_retry_at: Option<Timestamp>,
    forgotten: bool,
}

impl Worker {
    pub(super) fn new(node: Arc<Node>, entry: Arc<PodEntry>) -> Self {
        let told = entry.pod();
        Self {
            node,
            entry,
            operations: FuturesUnordered::new(),
            sandbox: None,
            images: HashMap::new(),
            logs: HashMap::new(),
            given: resizing::asked_for(&told),
            starting: HashMap::new(),
            reporter: Reporter::new(told.status.as_ref()),
            probed: probing::has_probes(&told),
            recording: 0,
            pull_backoffs_told: HashSet::new(),
            deleting: false,
            delete_retry_at: None,
            forgotten: false,
        }
    }

    pub(super) async fn run(mut self) -> End {
        self.begin();
        loop {
            let wake = self.step();
            if self.forgotten {
                return End::Forgotten;
            }
            if !self.wait(wake).await {
                self.shut_down().await;
                return End::Stopped;
            }
        }
    }

    /// Waits, until `wake` at the longest, for something that is worth another step; meanwhile
    /// probes are asked. False if the node stops.
    async fn wait(&mut self, wake: Option<Timestamp>) -> bool {
        let node = self.node.clone();
        let entry = self.entry.clone();
        loop {
            let probe = self.begin_probes();
            let timer = async {
                match earliest(wake, probe) {
                    Some(when) => node.clock.sleep_until(when).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = node.shutdown.stopped() => return false,
                Some(done) = self.operations.next(), if !self.operations.is_empty() => {
                    if self.note(done) {
                        return true;
                    }
                }
                () = entry.changed.notified() => return true,
                () = timer => {
                    if wake.is_some_and(|wake| wake <= node.clock.now()) {
                        return true;
                    }
                }
            }
        }
    }

    /// What is done once: can the node take the pod, and what of it can it not honour.
    fn begin(&mut self) {
        let pod = self.as_given(&self.entry.pod());
        let mut state = self.entry.state.lock();
        if pod_actions::is_over(&pod, &state) || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let verdict = self.node.admit(&pod);
        if let Some(verdict) = verdict {
            let node = &self.node;
            node.event(
                &pod,
                "",
                EventType::Warning,
                &verdict.reason,
                &*verdict.message,
            );
            state.verdict = Some(verdict);
            return;
        }
        drop(state);
        let fields = unsupported::fields(&pod);
        if !fields.is_empty() {
            let message = format!("wkube does not honour yet: {}", fields.join(", "));
            let kind = EventType::Warning;
            self.node
                .event(&pod, "", kind, unsupported::REASON, message);
        }
    }

    /// Does all that can be done now; returns when to look again.
    fn step(&mut self) -> Option<Timestamp> {
        let now = self.node.clock.now();
        let (pod, resize_again) = self.resize(&self.entry.pod(), now);
        self.hear(&pod);
        for _ in 0..TURNS_MAX {
            let actions = {
                let mut state = self.entry.state.lock();
                state.settle(&pod, now);
                pod_actions::plan(&pod, &state, now)
            };
            let mut wake = None;
            let mut progress = false;
            if self.recording == 0 {
                for action in actions {
                    match action {
                        Action::WaitUntil(when) => wake = Some(when),
                        action => progress |= self.act(&pod, action, now),
                    }
                }
            }
            self.tell_pull_backoffs(&pod, now);
            if self.forgotten {
                return None;
            }
            if progress {
                // Reported is what all that can be done now comes to: what is between would cost a
                // write, and delay the next one that somebody waits for.
                continue;
            }
            let (told, report_wake) = self.report(&pod, now);
            if !told {
                let wake = earliest(earliest(wake, report_wake), resize_again);
                return earliest(wake, self.delete_retry_at);
            }
        }
        let name = pod_spec::name(&pod);
        tracing::error!(node = %self.node.name, pod = name, "a pod's plan turns in a circle");
        Some(later(now, SANDBOX_RETRY))
    }

    fn hear(&mut self, pod: &Pod) {
        let (removed, verdict) = self.entry.take_inbox();
        let ended = self.state(|state| {
            state.removed |= removed;
            if verdict.is_none() || pod_actions::is_over(pod, state) {
                return false;
            }
            state.verdict = verdict;
            true
        });
        if ended {
            self.record_first(pod);
        }
    }

    /// Begins an action; whether the state has changed.
    fn act(&mut self, pod: &Arc<Pod>, action: Action, now: Timestamp) -> bool {
        match action {
            Action::PrepareSandbox => self.prepare_sandbox(pod),
            Action::EnsureImage { container } => self.ensure_image(pod, &container, now),
            Action::StartContainer { container } => self.configure(pod, &container),
            Action::TellUnready => {
                self.reporter.want_unready(now);
                return false;
            }
            Action::TellEnd => {
                self.reporter.want_end();
                return false;
            }
            Action::StopContainer {
                container,
                until,
                why,
            } => self.stop_container(pod, &container, until, why),
            Action::AskToStop { container, kill_at } => self.ask_to_stop(&container, kill_at),
            Action::GiveUpStart { container } => {
                if let Some(start) = self.starting.get(&container) {
                    start.cancel();
                }
                return false;
            }
            Action::KillContainer { container } => {
                self.state(|state| state.container_mut(&container).stop = Stop::Killed);
                if let Some(running) = self.entry.running.lock().get(&container) {
                    running.kill();
                }
            }
            Action::BeginAnew => {
                self.state(|state| state.begin_anew(pod, now));
                self.record_first(pod);
            }
            Action::End(verdict) => self.end(pod, verdict),
            Action::ReleaseSandbox => self.release_sandbox(),
            Action::Delete => return self.delete(pod, now),
            Action::Forget => self.forget(pod),
            Action::WaitUntil(_) => return false,
        }
        true
    }

    fn state<T>(&self, change: impl FnOnce(&mut PodState) -> T) -> T {
        change(&mut self.entry.state.lock())
    }

    // === The journal ===

    fn record(&self, pod: &Pod) -> io::Result<Commit> {
        let state = self.entry.state.lock().clone();
        self.node.records.put(&PodRecord {
            uid: self.entry.uid().to_owned(),
            namespace: pod_spec::namespace(pod).to_owned(),
            name: pod_spec::name(pod).to_owned(),
            state: Some(state),
        })
    }

    /// Records the state, and does nothing else before that is durable.
    fn record_first(&mut self, pod: &Pod) {
        let commit = self.record(pod);
        self.recording += 1;
        self.operations.push(Box::pin(async move {
            Done::Recorded(match commit {
                Ok(commit) => commit.done().await,
                Err(error) => Err(error),
            })
        }));
    }

    // === What came of it ===

    /// Notes it; whether anything may follow from it.
    fn note(&mut self, done: Done) -> bool {
        let pod = self.entry.pod();
        match done {
            Done::Sandbox(result) => self.sandbox_done(&pod, result),
            Done::Image {
                container,
                result,
                took,
                waited,
            } => self.image_done(&pod, &container, result, (took, waited)),
            Done::Configured { container, result } => self.configured(&pod, &container, result),
            Done::Started { container, result } => self.started(&pod, &container, result),
            Done::Exited { container, exit } => self.exited(&pod, &container, exit),
            Done::Probed {
                container,
                id,
                kind,
                outcome,
            } => return self.probed(&pod, &container, &id, (kind, outcome)),
            Done::Hooked {
                container,
                id,
                hook,
                result,
            } => self.hooked(&pod, &container, &id, (hook, result)),
            Done::Recorded(result) => {
                self.recording = self.recording.saturating_sub(1);
                if let Err(error) = result {
                    let message = format!("the pod's state cannot be recorded: {error}");
                    let kind = EventType::Warning;
                    self.node.event(&pod, "", kind, "FailedRecord", message);
                }
            }
            Done::Told(answer) => match answer {
                Answer::Gone => self.state(|state| state.removed = true),
                Answer::Taken(at) => self.reporter.answered(Some(at), &self.node.clock),
                Answer::Refused => self.reporter.answered(None, &self.node.clock),
            },
            Done::Deleted(answer) => match answer {
                None => {
                    self.deleting = false;
                    let now = self.node.clock.now();
                    self.delete_retry_at = Some(later(now, Duration::from_secs(1)));
                }
                Some(true) => self.state(|state| state.removed = true),
                // It has finalizers: it goes when they are done, and the watch tells.
                Some(false) => {}
            },
        }
        true
    }

    fn report(&mut self, pod: &Arc<Pod>, now: Timestamp) -> (bool, Option<Timestamp>) {
        if self.recording > 0 {
            return (false, None);
        }
        let mut state = self.entry.state.lock();
        self.reporter
            .report(&self.node, pod, &mut state, &self.operations, now)
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn find<'a>(pod: &'a Pod, container: &str) -> Option<&'a Container> {
    pod_spec::all_containers(pod).find(|c| c.name == container)
}
