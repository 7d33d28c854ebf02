//! One pod's worker: asks the pure half what to do, does it, notes what came of it, reports, waits.
//! It never waits inside a step: what takes time is one of its operations, and it wakes when one
//! is done, when the pod changed, or at the time that the plan named.

use crate::client::EventType;
use crate::kubelet::images;
use crate::kubelet::node::Node;
use crate::kubelet::pod_actions::{self, Action};
use crate::kubelet::pod_spec;
use crate::kubelet::pod_workers::PodEntry;
use crate::kubelet::records::{Commit, PodRecord};
use crate::kubelet::report::Reporter;
use crate::kubelet::runtime::{ContainerExit, ImageFailure, ImageInfo, RunningContainer};
use crate::kubelet::sandbox::{self, SandboxParts};
use crate::kubelet::start::{self, Configured};
use crate::kubelet::state::{ImageState, PodState, Sandbox, Stop, Verdict, later};
use crate::kubelet::status;
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
    Recorded(io::Result<()>),
    /// The answer to a written status: true if the server has it, `None` if the pod is not there.
    Told(Option<bool>),
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
    /// Containers whose start is under way, and how it is given up.
    starting: HashMap<String, CancellationToken>,
    reporter: Reporter,
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
            starting: HashMap::new(),
            reporter: Reporter::new(told.status.as_ref()),
            recording: 0,
            pull_backoffs_told: HashSet::new(),
            deleting: false,
            delete_retry_at: None,
            forgotten: false,
        }
    }

    pub(super) async fn run(mut self) -> End {
        self.begin();
        let node = self.node.clone();
        let entry = self.entry.clone();
        loop {
            let wake = self.step();
            if self.forgotten {
                return End::Forgotten;
            }
            let timer = async {
                match wake {
                    Some(when) => node.clock.sleep_until(when).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = node.shutdown.stopped() => {
                    self.shut_down().await;
                    return End::Stopped;
                }
                Some(done) = self.operations.next(), if !self.operations.is_empty() => {
                    self.note(done);
                }
                () = entry.changed.notified() => {}
                () = timer => {}
            }
        }
    }

    /// What is done once: can the node take the pod, and what of it can it not honour.
    fn begin(&mut self) {
        let pod = self.entry.pod();
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
        let pod = self.entry.pod();
        let now = self.node.clock.now();
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
                return earliest(earliest(wake, report_wake), self.delete_retry_at);
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
                kill_at,
                why,
            } => self.stop_container(pod, &container, kill_at, why),
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

    // === The shared part ===

    fn prepare_sandbox(&mut self, pod: &Arc<Pod>) {
        self.state(|state| state.sandbox = Sandbox::Preparing);
        let wanted = self.state(|state| state.addresses.clone());
        let parts = sandbox::prepare(&self.node, pod, &wanted);
        match parts {
            Ok(parts) if sandbox::has_host_ports(pod) => {
                let (node, pod) = (self.node.clone(), pod.clone());
                self.operations.push(Box::pin(async move {
                    Done::Sandbox(sandbox::open_host_ports(&node, &pod, parts).await)
                }));
            }
            parts => self.sandbox_done(pod, parts),
        }
    }

    fn sandbox_done(&mut self, pod: &Pod, result: Result<SandboxParts, String>) {
        let now = self.node.clock.now();
        match result {
            Ok(parts) => {
                self.state(|state| {
                    state.addresses = parts.net.addresses().to_vec();
                    state.sandbox = Sandbox::Ready;
                    state.released = false;
                });
                self.sandbox = Some(parts);
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                let kind = EventType::Warning;
                self.node
                    .event(pod, "", kind, "FailedCreatePodSandBox", message);
                sandbox::release(&self.node, self.entry.uid());
                let retry_at = later(now, SANDBOX_RETRY);
                self.state(|state| state.sandbox = Sandbox::Failed { retry_at });
            }
        }
    }

    fn release_sandbox(&mut self) {
        self.sandbox = None;
        self.images.clear();
        sandbox::release(&self.node, self.entry.uid());
        self.node.release(self.entry.uid());
        let fresh = self.state(|state| {
            state.sandbox = Sandbox::Released;
            !std::mem::replace(&mut state.released, true)
        });
        let pod = self.entry.pod();
        // Nobody waits for it: whoever gets the address next is recorded after it.
        if fresh
            && pod.metadata.deletion_timestamp.is_none()
            && let Err(error) = self.record(&pod)
        {
            tracing::warn!(%error, "the release of a pod's address was not recorded");
        }
    }

    // === Images ===

    fn ensure_image(&mut self, pod: &Arc<Pod>, container: &str, now: Timestamp) {
        let Some(spec) = find(pod, container) else {
            return;
        };
        match images::look(&self.node, pod, spec) {
            images::Look::There(info) => {
                self.state(|state| {
                    state.container_mut(container).pull = ImageState::Ready {
                        id: info.id.clone(),
                    };
                });
                self.images.insert(container.to_owned(), info);
            }
            images::Look::Failed(reason, message) => {
                self.state(|state| {
                    state
                        .container_mut(container)
                        .pull_failed(reason, message, now)
                });
            }
            images::Look::Pull => {
                self.state(|state| {
                    state.container_mut(container).pull = ImageState::Pulling { since: now };
                });
                let (node, pod) = (self.node.clone(), pod.clone());
                let container = spec.clone();
                self.operations
                    .push(Box::pin(images::pull(node, pod, container)));
            }
        }
    }

    fn image_done(
        &mut self,
        pod: &Pod,
        container: &str,
        result: Result<ImageInfo, ImageFailure>,
        (took, waited): (Duration, Duration),
    ) {
        let now = self.node.clock.now();
        let Some(spec) = find(pod, container) else {
            return;
        };
        self.pull_backoffs_told.remove(container);
        match result {
            Ok(info) => {
                self.node.status_changed.notify_one();
                images::tell_pulled(&self.node, pod, spec, &info, took, waited);
                self.state(|state| {
                    let of = state.container_mut(container);
                    of.pull = ImageState::Ready {
                        id: info.id.clone(),
                    };
                    of.pull_wait = Default::default();
                });
                self.images.insert(container.to_owned(), info);
            }
            Err(failure) => {
                let (reason, message) = images::tell_failed(&self.node, pod, spec, &failure);
                self.state(|state| {
                    state
                        .container_mut(container)
                        .pull_failed(reason, message, now)
                });
            }
        }
    }

    fn tell_pull_backoffs(&mut self, pod: &Pod, now: Timestamp) {
        for container in pod_spec::all_containers(pod) {
            let name = &container.name;
            let waits = self.state(|state| {
                let of = state.container(name);
                matches!(&of.pull, ImageState::Failed { reason, .. } if reason == "ErrImagePull")
                    && of.pull_error_until(now).is_none()
            });
            if waits && self.pull_backoffs_told.insert(name.clone()) {
                images::tell_backoff(&self.node, pod, container);
            }
        }
    }

    // === Containers ===

    fn configure(&mut self, pod: &Arc<Pod>, container: &str) {
        let Some(spec) = find(pod, container) else {
            return;
        };
        let (Some(image), Some(sandbox)) = (self.images.get(container), &self.sandbox) else {
            // The worker began anew and has not looked at the image yet.
            self.state(|state| state.container_mut(container).pull = ImageState::Unknown);
            return;
        };
        let parts = start::Parts {
            node: self.node.clone(),
            pod: pod.clone(),
            container: spec.clone(),
            image: image.clone(),
            net: sandbox.net.clone(),
        };
        if start::needs_nothing(spec) {
            let result = start::configured(&parts, &Default::default());
            self.configured(pod, container, result);
        } else {
            self.state(|state| state.container_mut(container).configuring = true);
            let container = container.to_owned();
            self.operations.push(Box::pin(async move {
                let result = start::gather(&parts).await;
                Done::Configured { container, result }
            }));
        }
    }

    fn configured(&mut self, pod: &Arc<Pod>, container: &str, result: Result<Configured, String>) {
        let now = self.node.clock.now();
        self.state(|state| state.container_mut(container).configuring = false);
        let stopping = pod.metadata.deletion_timestamp.is_some()
            || self.state(|state| state.removed || pod_actions::is_over(pod, state));
        let Some(spec) = find(pod, container).filter(|_| !stopping) else {
            return;
        };
        let configured = match result {
            Ok(configured) => configured,
            Err(message) => {
                let reason = "CreateContainerConfigError";
                let event = format!("Error: {message}");
                let kind = EventType::Warning;
                self.node.event(pod, container, kind, "Failed", event);
                self.state(|state| state.config_failed(container, reason, message, now));
                return;
            }
        };
        let image = spec.image.clone().unwrap_or_default();
        let id = configured.id();
        let restarts = self.state(|state| {
            let of = state.container_mut(container);
            of.begin_run(id, &image, now);
            of.restarts
        });
        let log = self
            .node
            .logs
            .begin(&start::log_key(pod, container), restarts);
        self.logs.insert(container.to_owned(), log.clone());
        let commit = self.record(pod);
        let given_up = CancellationToken::new();
        self.starting.insert(container.to_owned(), given_up.clone());
        let node = self.node.clone();
        let container = container.to_owned();
        self.operations.push(Box::pin(async move {
            let run = start::run(&node, configured, log, restarts, commit, &given_up);
            let result = run.await;
            Done::Started { container, result }
        }));
    }

    fn started(&mut self, pod: &Pod, container: &str, result: start::Started) {
        let now = self.node.clock.now();
        self.starting.remove(container);
        match result {
            Ok(running) => {
                self.node.event(
                    pod,
                    container,
                    EventType::Normal,
                    "Created",
                    "Container created",
                );
                self.node.event(
                    pod,
                    container,
                    EventType::Normal,
                    "Started",
                    "Container started",
                );
                self.state(|state| state.container_mut(container).started(now));
                self.count_start(pod, container);
                let mut all = self.entry.running.lock();
                all.insert(container.to_owned(), running.clone());
                drop(all);
                let container = container.to_owned();
                self.operations.push(Box::pin(async move {
                    let exit = running.wait().await;
                    Done::Exited { container, exit }
                }));
            }
            Err(message) => {
                if message != start::GIVEN_UP {
                    self.node.metrics.start_errors.inc();
                    let event = format!("Error: {message}");
                    self.node
                        .event(pod, container, EventType::Warning, "Failed", event);
                }
                let exit = ContainerExit {
                    code: crate::kubelet::state::EXIT_START_ERROR,
                    reason: "StartError".to_owned(),
                    message,
                };
                self.exited(pod, container, exit);
            }
        }
    }

    /// Counts a container that has started; the first that is no init container is the pod's start.
    fn count_start(&self, pod: &Pod, container: &str) {
        let metrics = &self.node.metrics;
        metrics.started_containers.inc();
        let spec = pod_spec::spec(pod);
        let main = spec.is_some_and(|spec| spec.containers.iter().any(|c| c.name == container));
        if !main {
            return;
        }
        if let Some(seen) = self.entry.seen.lock().take() {
            metrics.started_pods.inc();
            let took = self.node.clock.instant().saturating_duration_since(seen);
            metrics.pod_start_seconds.observe(took.as_secs_f64());
        }
    }

    fn exited(&mut self, pod: &Pod, container: &str, exit: ContainerExit) {
        let now = self.node.clock.now();
        self.entry.running.lock().remove(container);
        if let Some(log) = self.logs.remove(container) {
            log.close();
        }
        let waits = self.state(|state| {
            let of = state.container_mut(container);
            of.ended(exit.code, &exit.reason, exit.message, now);
            of.crash_until(now).is_some()
        });
        let spec = find(pod, container);
        let again = spec.is_some_and(|spec| pod_spec::restarts(pod, spec, exit.code));
        let ending = pod.metadata.deletion_timestamp.is_some()
            || self.state(|state| state.removed || state.verdict.is_some());
        if waits && again && !ending {
            let name = status::full_name(pod);
            let message = format!("Back-off restarting failed container {container} in pod {name}");
            self.node
                .event(pod, container, EventType::Warning, "BackOff", message);
        }
        self.record_first(pod);
    }

    fn stop_container(&mut self, pod: &Pod, container: &str, kill_at: Timestamp, why: &str) {
        let message = if why.is_empty() {
            format!("Stopping container {container}")
        } else {
            format!("Container {container} {why}")
        };
        self.node
            .event(pod, container, EventType::Normal, "Killing", message);
        self.state(|state| {
            let of = state.container_mut(container);
            of.stop = Stop::Asked { kill_at };
            of.replace = !why.is_empty();
        });
        if let Some(running) = self.entry.running.lock().get(container) {
            running.request_stop();
        }
    }

    // === The end ===

    fn end(&mut self, pod: &Pod, verdict: Verdict) {
        let node = &self.node;
        node.event(
            pod,
            "",
            EventType::Normal,
            &verdict.reason,
            &*verdict.message,
        );
        self.state(|state| state.verdict = Some(verdict));
        self.record_first(pod);
    }

    fn delete(&mut self, pod: &Arc<Pod>, now: Timestamp) -> bool {
        if self.deleting || self.delete_retry_at.is_some_and(|at| at > now) {
            return false;
        }
        self.deleting = true;
        self.delete_retry_at = None;
        let (node, pod) = (self.node.clone(), pod.clone());
        self.operations.push(Box::pin(async move {
            Done::Deleted(crate::kubelet::report::delete(&node, &pod).await)
        }));
        false
    }

    fn forget(&mut self, pod: &Pod) {
        self.forgotten = true;
        let (namespace, name) = (pod_spec::namespace(pod), pod_spec::name(pod));
        let record = PodRecord {
            uid: self.entry.uid().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            state: None,
        };
        // Nobody waits for it: at worst the next life finds a record of a pod that is gone.
        if let Err(error) = self.node.records.put(&record) {
            tracing::warn!(%error, "a pod's record was not removed");
        }
        self.node.logs.remove_pod(namespace, name, self.entry.uid());
    }

    /// The node stops: containers end with it, and nothing is reported.
    async fn shut_down(&mut self) {
        let running: Vec<_> = self.entry.running.lock().drain().collect();
        for (_, container) in &running {
            container.request_stop();
        }
        let ends = futures::future::join_all(running.iter().map(|(_, c)| c.wait()));
        tokio::select! {
            _ = ends => {}
            () = self.node.clock.sleep(SHUTDOWN_GRACE) => {}
        }
        for (_, container) in &running {
            container.kill();
        }
        for log in self.logs.values() {
            log.close();
        }
        self.sandbox = None;
        sandbox::release(&self.node, self.entry.uid());
    }

    // === What came of it ===

    fn note(&mut self, done: Done) {
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
            Done::Recorded(result) => {
                self.recording = self.recording.saturating_sub(1);
                if let Err(error) = result {
                    let message = format!("the pod's state cannot be recorded: {error}");
                    let kind = EventType::Warning;
                    self.node.event(&pod, "", kind, "FailedRecord", message);
                }
            }
            Done::Told(answer) => match answer {
                None => self.state(|state| state.removed = true),
                Some(ok) => self.reporter.answered(ok, &self.node.clock),
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
