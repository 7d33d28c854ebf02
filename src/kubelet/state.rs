//! What a node knows of one pod: the states of its containers, and what must outlive the process.
//! The same value is what the pure half decides on, what the status is written from and what the
//! journal keeps. Pure: it is told the time. Must not know how anything is carried out.

use crate::kubelet::pod_spec;
use crate::kubelet::probes::Probes;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The first wait of a container that crashes, and of an image that cannot be pulled.
/// Kubernetes: kubelet, initial back-off of containers and images.
const BACKOFF_INITIAL: Duration = Duration::from_secs(10);
/// The longest wait. Kubernetes: kubelet, MaxContainerBackOff.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// After so long without a failure the waits begin anew: twice the longest wait.
const BACKOFF_RESET: Duration = Duration::from_secs(600);

/// How long `ErrImagePull` is shown before it becomes `ImagePullBackOff`.
const IMAGE_ERROR_SHOWN: Duration = Duration::from_secs(2);
/// How long a container whose configuration is wrong waits before it is tried again.
/// Kubernetes: kubelet, backOffPeriod of a pod worker.
const CONFIG_ERROR_RETRY: Duration = Duration::from_secs(10);

/// The exit code of what was killed.
pub(super) const EXIT_KILLED: i32 = 137;
/// The exit code of a container that could not be started.
pub(super) const EXIT_START_ERROR: i32 = 128;

/// `when` plus `duration`; the end of time if that is past it.
pub(super) fn later(when: Timestamp, duration: Duration) -> Timestamp {
    when.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// One thing's exponential wait, as Kubernetes' `flowcontrol.Backoff` keeps it: the delay grows
/// when it is used, and is forgotten when the failure comes long after the last use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WaitEntry {
    /// Seconds to wait; 0 if there was no failure.
    #[serde(default)]
    seconds: u64,
    /// When it was last made longer.
    #[serde(default)]
    updated: Option<Timestamp>,
}

impl WaitEntry {
    /// Whether what happened at `event` came so late that earlier failures do not count.
    fn expired(&self, event: Timestamp) -> bool {
        match self.updated {
            Some(updated) => since(updated, event) > BACKOFF_RESET,
            None => true,
        }
    }

    /// The delay that a failure at `event` has to wait, if any.
    pub(super) fn delay(&self, event: Timestamp) -> Option<Duration> {
        (!self.expired(event)).then(|| Duration::from_secs(self.seconds))
    }

    /// Counts a failure that happened at `event`; `now` starts the new wait.
    pub(super) fn next(&mut self, event: Timestamp, now: Timestamp) {
        self.seconds = if self.expired(event) {
            BACKOFF_INITIAL.as_secs()
        } else {
            (self.seconds * 2).min(BACKOFF_MAX.as_secs())
        };
        self.updated = Some(now);
    }
}

/// How a run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    /// `wasm://<hex>`.
    pub(super) id: String,
    /// Exit code.
    pub(super) code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerStatusUnknown`.
    pub(super) reason: String,
    /// For people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// When the run began.
    pub(super) started_at: Timestamp,
    /// When it ended.
    pub(super) finished_at: Timestamp,
}

/// Where a container is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub(super) enum Phase {
    /// It has not run since the pod's sandbox was made.
    #[default]
    Waiting,
    /// Its configuration could not be made; tried again later.
    ConfigFailed {
        /// `CreateContainerConfigError`.
        reason: String,
        /// What is missing.
        message: String,
        /// When.
        at: Timestamp,
    },
    /// The runtime was asked to start it.
    Starting {
        /// `wasm://<hex>`.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It runs.
    Running {
        /// `wasm://<hex>`.
        id: String,
        /// Since when.
        started_at: Timestamp,
    },
    /// It has ended.
    Exited(Exit),
}

/// What is known of a container's image in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ImageState {
    /// Not asked for yet since the last run.
    #[default]
    Unknown,
    /// Being looked up or pulled.
    Pulling {
        /// Since when.
        since: Timestamp,
    },
    /// There, by this id.
    Ready {
        /// `docker.io/x/y@sha256:...`.
        id: String,
    },
    /// It could not be had.
    Failed {
        /// `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName`, ...
        reason: String,
        /// Why.
        message: String,
        /// When.
        at: Timestamp,
    },
}

/// How far the stop of a running container is. Not kept: a restart of the process ends all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody wants it to stop.
    #[default]
    No,
    /// It is to stop: its preStop hook runs, or it waits until those have stopped whom it helps.
    Begun {
        /// The end of its grace.
        until: Timestamp,
        /// Its preStop hook runs.
        hook: bool,
    },
    /// It was asked to stop; at a time it is killed.
    Asked {
        /// When it was asked.
        at: Timestamp,
        /// The end of its grace.
        kill_at: Timestamp,
    },
    /// It was killed; its exit is awaited.
    Killed,
}

/// One container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerState {
    /// Where it is in its life.
    #[serde(default)]
    pub(super) phase: Phase,
    /// How often it was started again.
    #[serde(default)]
    pub(super) restarts: u32,
    /// How the run before the present one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_exit: Option<Exit>,
    /// The wait of CrashLoopBackOff.
    #[serde(default)]
    pub(super) crash: WaitEntry,
    /// `spec.image` of the last run.
    #[serde(default)]
    pub(super) image: String,
    /// The image id of the last run.
    #[serde(default)]
    pub(super) image_id: String,
    /// The image now.
    #[serde(skip)]
    pub(super) pull: ImageState,
    /// The wait of ImagePullBackOff.
    #[serde(skip)]
    pub(super) pull_wait: WaitEntry,
    /// How far its stop is.
    #[serde(skip)]
    pub(super) stop: Stop,
    /// It was stopped because its definition changed: it starts again whatever the policy says.
    #[serde(skip)]
    pub(super) replace: bool,
    /// It was stopped because a probe said so, and starts again.
    #[serde(skip)]
    pub(super) failed_probe: bool,
    /// It runs, but its postStart hook is not done: nobody is told yet.
    #[serde(skip)]
    pub(super) post_start: bool,
    /// Its postStart hook has failed: it must be stopped.
    #[serde(skip)]
    pub(super) failed_hook: bool,
    /// What its probes have said of this run.
    #[serde(skip)]
    pub(super) probes: Probes,
    /// Its configuration is being gathered.
    #[serde(skip)]
    pub(super) configuring: bool,
}

impl ContainerState {
    /// Whether it runs or is about to.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Starting { .. })
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether its guest runs, be it that its postStart hook is not done.
    pub(super) fn is_up(&self) -> bool {
        self.is_running() || (self.post_start && self.is_live())
    }

    /// The id of the run that goes on.
    pub(super) fn run_id(&self) -> Option<&str> {
        match &self.phase {
            Phase::Running { id, .. } | Phase::Starting { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Whether it runs and has started, as its startup probe has it.
    pub(super) fn has_started(&self, container: &Container) -> bool {
        self.is_running() && self.probes.started(container)
    }

    /// The exit, if it has ended.
    pub(super) fn exit(&self) -> Option<&Exit> {
        match &self.phase {
            Phase::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// Until when a crashed container waits; `None` if it may start.
    pub(super) fn crash_until(&self, now: Timestamp) -> Option<Timestamp> {
        let exit = self.exit()?;
        if self.replace || self.restarts_at_once(exit) {
            return None;
        }
        let until = later(exit.finished_at, self.crash.delay(exit.finished_at)?);
        (until > now).then_some(until)
    }

    /// Whether a run that a probe has ended is followed by the next one without a wait: so it is
    /// if the run before had ended longer ago than the wait.
    ///
    /// Kubernetes: the same sync stops and starts, and `doBackOff` sees the run before.
    fn restarts_at_once(&self, exit: &Exit) -> bool {
        if !self.failed_probe {
            return false;
        }
        let Some(before) = self.last_exit.as_ref().map(|before| before.finished_at) else {
            return true;
        };
        let delay = self.crash.delay(before).unwrap_or_default();
        later(before, delay) <= exit.finished_at
    }

    /// The present length of the crash wait.
    pub(super) fn crash_delay(&self) -> Duration {
        Duration::from_secs(self.crash.seconds)
    }

    /// Until when a failed pull waits; `None` if it may be tried.
    pub(super) fn pull_until(&self, now: Timestamp) -> Option<Timestamp> {
        let ImageState::Failed { at, .. } = &self.pull else {
            return None;
        };
        let until = later(*at, self.pull_wait.delay(*at)?);
        (until > now).then_some(until)
    }

    /// Until when the plain error of a failed pull is shown.
    pub(super) fn pull_error_until(&self, now: Timestamp) -> Option<Timestamp> {
        let ImageState::Failed { at, .. } = &self.pull else {
            return None;
        };
        let until = later(*at, IMAGE_ERROR_SHOWN);
        (until > now).then_some(until)
    }

    /// Until when a wrong configuration waits; `None` if it may be tried.
    pub(super) fn config_until(&self, now: Timestamp) -> Option<Timestamp> {
        let Phase::ConfigFailed { at, .. } = &self.phase else {
            return None;
        };
        let until = later(*at, CONFIG_ERROR_RETRY);
        (until > now).then_some(until)
    }

    /// The image could not be had.
    pub(super) fn pull_failed(&mut self, reason: &str, message: String, now: Timestamp) {
        self.pull_wait.next(now, now);
        self.pull = ImageState::Failed {
            reason: reason.to_owned(),
            message,
            at: now,
        };
    }

    /// A new run begins: counts it, and makes the next crash wait longer.
    pub(super) fn begin_run(&mut self, id: String, image: &str, now: Timestamp) {
        let ended = match std::mem::take(&mut self.phase) {
            Phase::Exited(exit) => Some(exit),
            _ => None,
        };
        if let Some(exit) = ended {
            if self.restarts_at_once(&exit) {
                if let Some(before) = &self.last_exit {
                    self.crash.next(before.finished_at, now);
                }
            } else if !self.replace {
                self.crash.next(exit.finished_at, now);
            }
            self.restarts += 1;
            self.last_exit = Some(exit);
        }
        if let ImageState::Ready { id } = &self.pull {
            self.image_id.clone_from(id);
        }
        image.clone_into(&mut self.image);
        self.replace = false;
        self.failed_probe = false;
        self.post_start = false;
        self.failed_hook = false;
        self.probes = Probes::NEW;
        self.stop = Stop::No;
        self.phase = Phase::Starting { id, at: now };
    }

    /// The run goes.
    pub(super) fn started(&mut self, now: Timestamp) {
        if let Phase::Starting { id, .. } = &self.phase {
            let id = id.clone();
            self.phase = Phase::Running {
                id,
                started_at: now,
            };
        }
    }

    /// The run ended, or could not begin.
    pub(super) fn ended(&mut self, code: i32, reason: &str, message: String, now: Timestamp) {
        let (id, started_at) = match &self.phase {
            Phase::Running { id, started_at } => (id.clone(), *started_at),
            Phase::Starting { id, at } => (id.clone(), *at),
            _ => return,
        };
        self.pull = ImageState::Unknown;
        self.stop = Stop::No;
        self.post_start = false;
        self.failed_hook = false;
        self.phase = Phase::Exited(Exit {
            id,
            code,
            reason: reason.to_owned(),
            message,
            started_at,
            finished_at: now,
        });
    }
}

/// The state of what a pod's containers share: address, network, log folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Sandbox {
    /// Not made yet.
    #[default]
    None,
    /// Being made.
    Preparing,
    /// There.
    Ready,
    /// It could not be made.
    Failed {
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// Let go: nothing of the pod will run again.
    Released,
}

/// Why a whole pod was ended by its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// `DeadlineExceeded`, `Evicted`, `OutOfcpu`, ...
    pub(super) reason: String,
    /// For people.
    pub(super) message: String,
    /// Seconds that running containers get.
    pub(super) grace_seconds: i64,
    /// The reason of the condition `DisruptionTarget`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) disruption: String,
}

/// What a node gives the containers of a pod, once that is other than what they asked for at first,
/// and what keeps it from giving what they ask for now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Allocation {
    /// By container; a container that is not here has what its spec says.
    #[serde(default)]
    pub(super) containers: BTreeMap<String, ResourceRequirements>,
    /// Why it cannot be given: reason and words of the condition `PodResizePending`.
    #[serde(skip)]
    pub(super) pending: Option<(String, String)>,
    /// Why it was given and is not in force: the words of the condition `PodResizeInProgress`.
    #[serde(skip)]
    pub(super) error: Option<String>,
}

impl Allocation {
    fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }
}

/// All that a node knows of one pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PodState {
    /// When the node took it: `status.startTime`.
    pub(super) start_time: Timestamp,
    /// Its addresses, once it has some.
    #[serde(default)]
    pub(super) addresses: Vec<IpAddr>,
    /// Its containers by name, init containers among them.
    #[serde(default)]
    pub(super) containers: BTreeMap<String, ContainerState>,
    /// All init containers have done their work.
    #[serde(default)]
    pub(super) initialized: bool,
    /// What the node gives the pod.
    #[serde(default, skip_serializing_if = "Allocation::is_empty")]
    pub(super) allocation: Allocation,
    /// The node has ended the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<Verdict>,
    /// The process that ran its containers is gone (for pods that must not run twice).
    #[serde(default)]
    pub(super) lost: bool,
    /// Its network was let go: its addresses may be another's.
    #[serde(default)]
    pub(super) released: bool,
    /// A container has ended in a way that restarts all: the others are stopped, then all begin anew.
    #[serde(skip)]
    pub(super) restarting_all: bool,
    /// The shared part.
    #[serde(skip)]
    pub(super) sandbox: Sandbox,
    /// The server has seen that the pod is no longer ready, so that its listeners may close.
    #[serde(skip)]
    pub(super) unready_told: bool,
    /// The object is gone from the server: nothing is reported, everything ends.
    #[serde(skip)]
    pub(super) removed: bool,
    /// The server has seen the status of the pod's end.
    #[serde(skip)]
    pub(super) end_told: bool,
    /// Since when it is being deleted.
    #[serde(skip)]
    pub(super) stopping_since: Option<Timestamp>,
}

impl PodState {
    /// A pod that was just seen.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            start_time: now,
            addresses: Vec::new(),
            containers: BTreeMap::new(),
            initialized: false,
            allocation: Allocation::default(),
            verdict: None,
            lost: false,
            released: false,
            restarting_all: false,
            sandbox: Sandbox::None,
            unready_told: false,
            removed: false,
            end_told: false,
            stopping_since: None,
        }
    }

    /// The state of a container; an untouched one if it is not known.
    pub(super) fn container(&self, name: &str) -> &ContainerState {
        static UNTOUCHED: ContainerState = ContainerState {
            phase: Phase::Waiting,
            restarts: 0,
            last_exit: None,
            crash: WaitEntry {
                seconds: 0,
                updated: None,
            },
            image: String::new(),
            image_id: String::new(),
            pull: ImageState::Unknown,
            pull_wait: WaitEntry {
                seconds: 0,
                updated: None,
            },
            stop: Stop::No,
            replace: false,
            failed_probe: false,
            post_start: false,
            failed_hook: false,
            probes: Probes::NEW,
            configuring: false,
        };
        self.containers.get(name).unwrap_or(&UNTOUCHED)
    }

    /// The state of a container, to be changed.
    pub(super) fn container_mut(&mut self, name: &str) -> &mut ContainerState {
        self.containers.entry(name.to_owned()).or_default()
    }

    /// The configuration of a container could not be made.
    pub(super) fn config_failed(
        &mut self,
        name: &str,
        reason: &str,
        message: String,
        now: Timestamp,
    ) {
        let of = self.container_mut(name);
        // A run that has ended stays the last one.
        if let Phase::Exited(exit) = std::mem::take(&mut of.phase) {
            of.crash.next(exit.finished_at, now);
            of.restarts += 1;
            of.last_exit = Some(exit);
        }
        of.phase = Phase::ConfigFailed {
            reason: reason.to_owned(),
            message,
            at: now,
        };
    }

    /// Whether any container runs or is about to.
    pub(super) fn any_live(&self) -> bool {
        self.containers.values().any(ContainerState::is_live)
    }

    /// What the journal had, after the process that wrote it is gone: its runs have ended with it.
    /// `now` becomes their end, for nobody saw it.
    ///
    /// Kubernetes: a container that the node cannot find is `ContainerStatusUnknown`, 137.
    pub(super) fn recovered(mut self, pod: &Pod, now: Timestamp) -> Self {
        let mut lost = false;
        for state in self.containers.values_mut() {
            if state.is_live() {
                lost = true;
                let message = "The container could not be located when the pod was terminated";
                state.ended(
                    EXIT_KILLED,
                    "ContainerStatusUnknown",
                    message.to_owned(),
                    now,
                );
            }
        }
        if pod_spec::restart_policy(pod) == "Never" && (lost || self.started()) && !self.done(pod) {
            self.lost = true;
        } else if !self.done(pod) {
            // The sandbox is new: init containers run again in it.
            self.initialized = false;
            for container in pod_spec::init_containers(pod) {
                if let Some(state) = self.containers.get_mut(&container.name)
                    && let Phase::Exited(exit) = std::mem::take(&mut state.phase)
                {
                    state.last_exit = Some(exit);
                    state.restarts += 1;
                }
            }
        }
        self
    }

    /// Notes what follows from the rest: whether the beginning is over, since when it ends.
    pub(super) fn settle(&mut self, pod: &Pod, now: Timestamp) {
        if pod.metadata.deletion_timestamp.is_some() || self.removed {
            self.stopping_since.get_or_insert(now);
        }
        if self.restarts_all(pod).next().is_some() {
            self.restarting_all = true;
        }
        if !self.initialized && self.sandbox == Sandbox::Ready {
            self.initialized = pod_spec::init_containers(pod).iter().all(|container| {
                let state = self.container(&container.name);
                if pod_spec::is_sidecar(container) {
                    state.has_started(container)
                } else {
                    state.exit().is_some_and(|exit| exit.code == 0)
                }
            });
        }
    }

    /// The containers whose end restarts all.
    pub(super) fn restarts_all(&self, pod: &Pod) -> impl Iterator<Item = &ContainerState> {
        pod_spec::all_containers(pod).filter_map(|container| {
            let state = self.containers.get(&container.name)?;
            let code = state.exit()?.code;
            pod_spec::restarts_all(container, code).then_some(state)
        })
    }

    /// All containers begin anew, init containers first; each counts it as a restart.
    pub(super) fn begin_anew(&mut self, pod: &Pod, now: Timestamp) {
        self.restarting_all = false;
        self.initialized = false;
        for container in pod_spec::all_containers(pod) {
            let Some(state) = self.containers.get_mut(&container.name) else {
                continue;
            };
            if let Phase::Exited(exit) = std::mem::take(&mut state.phase) {
                if pod_spec::restarts_all(container, exit.code) {
                    state.crash.next(exit.finished_at, now);
                }
                state.last_exit = Some(exit);
                state.restarts += 1;
            }
        }
    }

    /// Whether any container ever began to run.
    fn started(&self) -> bool {
        self.containers
            .values()
            .any(|state| state.exit().is_some() || state.last_exit.is_some())
    }

    /// Whether every container that is not a helper has ended for ever.
    pub(super) fn done(&self, pod: &Pod) -> bool {
        pod_spec::containers(pod).iter().all(|container| {
            let state = self.container(&container.name);
            state.exit().is_some_and(|exit| {
                let again = state.replace || state.failed_probe;
                !again && !pod_spec::restarts(pod, container, exit.code)
            })
        })
    }

    /// Drops what only the process knew, as if the state had been read from the journal.
    pub(super) fn forget_process(&mut self) {
        let removed = self.removed;
        self.sandbox = Sandbox::None;
        self.unready_told = false;
        self.end_told = false;
        self.restarting_all = false;
        self.removed = removed;
        for state in self.containers.values_mut() {
            state.pull = ImageState::Unknown;
            state.stop = Stop::No;
            state.configuring = false;
            state.failed_probe = false;
            state.post_start = false;
            state.failed_hook = false;
            state.probes = Probes::NEW;
        }
    }

    /// What can be told of a pod that ran here before, when the node has no record of it.
    pub(super) fn from_status(pod: &Pod, now: Timestamp) -> Self {
        let Some(status) = &pod.status else {
            return Self::new(now);
        };
        let Some(start_time) = &status.start_time else {
            return Self::new(now);
        };
        let mut state = Self::new(start_time.0);
        let ips = status.pod_ips.iter().flatten();
        state.addresses = ips.filter_map(|ip| ip.ip.parse().ok()).collect();
        let init = status.init_container_statuses.iter().flatten();
        for told in init.chain(status.container_statuses.iter().flatten()) {
            let of = state.container_mut(&told.name);
            of.restarts = u32::try_from(told.restart_count).unwrap_or(0);
            of.image.clone_from(&told.image);
            of.image_id.clone_from(&told.image_id);
            let last = told.last_state.as_ref().and_then(|s| s.terminated.as_ref());
            let last = last.map(|exit| exit_of(exit, now));
            let shown = told.state.as_ref();
            if let Some(exit) = shown.and_then(|s| s.terminated.as_ref()) {
                of.phase = Phase::Exited(exit_of(exit, now));
                of.last_exit = last;
            } else if let Some(running) = shown.and_then(|s| s.running.as_ref()) {
                of.phase = Phase::Running {
                    id: told.container_id.clone().unwrap_or_default(),
                    started_at: running.started_at.as_ref().map_or(now, |at| at.0),
                };
                of.last_exit = last;
            } else if let Some(exit) = last {
                of.phase = Phase::Exited(exit);
            }
        }
        let phase = status.phase.as_deref().unwrap_or_default();
        let mut state = state.recovered(pod, now);
        state.initialized |= phase == "Succeeded";
        if phase == "Failed" {
            state.verdict = Some(Verdict {
                reason: status.reason.clone().unwrap_or_default(),
                message: status.message.clone().unwrap_or_default(),
                grace_seconds: 0,
                disruption: String::new(),
            });
        }
        state.end_told = matches!(phase, "Succeeded" | "Failed");
        state
    }
}

fn exit_of(told: &k8s_openapi::api::core::v1::ContainerStateTerminated, now: Timestamp) -> Exit {
    Exit {
        id: told.container_id.clone().unwrap_or_default(),
        code: told.exit_code,
        reason: told.reason.clone().unwrap_or_default(),
        message: told.message.clone().unwrap_or_default(),
        started_at: told.started_at.as_ref().map_or(now, |at| at.0),
        finished_at: told.finished_at.as_ref().map_or(now, |at| at.0),
    }
}
