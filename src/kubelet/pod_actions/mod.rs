//! What a node should do for a pod now: spec and observed state in, actions out. Pure; the driver
//! (`sync_pod/`) carries the actions out, notes what came of them in the state and asks again.
//! Every action but `WaitUntil` changes the state when it is begun, so that asking twice does not
//! do a thing twice.
//!
//! Kubernetes: kubelet `computePodActions`, `SyncPod`, `SyncTerminatingPod`.

use crate::kubelet::pod_spec;
use crate::kubelet::probes::Kind;
use crate::kubelet::state::{
    ContainerState, EXIT_KILLED, ImageState, Phase, PodState, Sandbox, Stop, Verdict, later,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::time::Duration;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Get an address, make the network and the log folder.
    PrepareSandbox,
    /// Make sure that the image of a container is there, as its pull policy says.
    EnsureImage {
        /// The container.
        container: String,
    },
    /// Start a container whose image is there.
    StartContainer {
        /// The container.
        container: String,
    },
    /// Write a status in which the pod is not ready, before its listeners close.
    TellUnready,
    /// Begin to stop a container: say so, and run its preStop hook.
    StopContainer {
        /// The container.
        container: String,
        /// The end of its grace.
        until: Timestamp,
        /// Why.
        why: Why,
    },
    /// Ask a container to stop, whose hook is done and whose turn it is.
    AskToStop {
        /// The container.
        container: String,
        /// When it is killed if it has not stopped.
        kill_at: Timestamp,
    },
    /// Do not wait for a container that is being started, which may take a long compile.
    GiveUpStart {
        /// The container.
        container: String,
    },
    /// End a container at once.
    KillContainer {
        /// The container.
        container: String,
    },
    /// All containers have ended, and begin anew.
    BeginAnew,
    /// The node ends the pod for a reason of its own.
    End(Verdict),
    /// Nothing of the pod will run again: let its network and address go.
    ReleaseSandbox,
    /// Write the status of the end, and wait until the server has it.
    TellEnd,
    /// Remove the object, for it is being deleted and nothing runs.
    Delete,
    /// Forget the pod: its object is gone and nothing runs.
    Forget,
    /// Nothing more to do until then (or until something happens).
    WaitUntil(Timestamp),
}

/// Why a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its pod ends.
    End,
    /// Another container has ended in a way that restarts all; no hook is called.
    RestartAll,
    /// Another image was asked for.
    DefinitionChanged,
    /// Its resources have changed, and it wants to start anew for that.
    Resized,
    /// A probe has failed.
    Probe {
        /// Which.
        kind: Kind,
        /// It starts again afterwards.
        restart: bool,
    },
    /// Its postStart hook has failed.
    PostStartHook,
}

impl Why {
    /// The words of the Event. Kubernetes: `computePodActions`, `killContainer`.
    pub(super) fn message(self, container: &str) -> String {
        match self {
            Self::End | Self::RestartAll => format!("Stopping container {container}"),
            Self::DefinitionChanged => {
                format!("Container {container} definition changed, will be restarted")
            }
            Self::Resized => format!("Container {container} resize requires restart"),
            Self::Probe { kind, restart } => {
                let then = if restart { ", will be restarted" } else { "" };
                let kind = kind.word();
                format!("Container {container} failed {kind} probe{then}")
            }
            Self::PostStartHook => "FailedPostStartHook".to_owned(),
        }
    }
}

/// What a container gets at least between the wish to stop and the kill, whatever its hook took.
/// Kubernetes: minimumGracePeriodInSeconds.
const GRACE_MIN: Duration = Duration::from_secs(2);

/// Decides. An empty answer means: wait until something happens.
pub(super) fn plan(pod: &Pod, state: &PodState, now: Timestamp) -> Vec<Action> {
    let mut plan = Plan {
        pod,
        state,
        now,
        actions: Vec::new(),
        wake: None,
    };
    plan.decide();
    if let Some(wake) = plan.wake {
        plan.actions.push(Action::WaitUntil(wake));
    }
    plan.actions
}

/// Whether the pod will not run again: it has completed, failed, or been ended by the node.
pub(super) fn is_over(pod: &Pod, state: &PodState) -> bool {
    if state.verdict.is_some() || state.lost {
        return true;
    }
    if init_failed(pod, state) {
        return true;
    }
    state.initialized && state.done(pod)
}

/// Whether an init container has failed for ever.
pub(super) fn init_failed(pod: &Pod, state: &PodState) -> bool {
    !state.initialized
        && pod_spec::init_containers(pod).iter().any(|container| {
            match state.container(&container.name).exit() {
                Some(exit) => exit.code != 0 && !pod_spec::init_restarts(pod, container, exit.code),
                None => false,
            }
        })
}

struct Plan<'a> {
    pod: &'a Pod,
    state: &'a PodState,
    now: Timestamp,
    actions: Vec<Action>,
    wake: Option<Timestamp>,
}

impl Plan<'_> {
    fn decide(&mut self) {
        let deleted = self.pod.metadata.deletion_timestamp.is_some() || self.state.removed;
        if deleted || is_over(self.pod, self.state) {
            self.stop(deleted);
            return;
        }
        if self.past_deadline() {
            return;
        }
        match &self.state.sandbox {
            Sandbox::None => self.actions.push(Action::PrepareSandbox),
            Sandbox::Failed { retry_at } if *retry_at <= self.now => {
                self.actions.push(Action::PrepareSandbox);
            }
            Sandbox::Failed { retry_at } => self.wake_at(*retry_at),
            Sandbox::Preparing | Sandbox::Released => {}
            Sandbox::Ready if self.state.restarting_all => self.restart_all(),
            Sandbox::Ready => self.run(),
        }
    }

    fn wake_at(&mut self, when: Timestamp) {
        self.wake = Some(self.wake.map_or(when, |wake| wake.min(when)));
    }

    /// Kubernetes: activeDeadlineSeconds.
    fn past_deadline(&mut self) -> bool {
        let Some(seconds) = pod_spec::spec(self.pod).and_then(|s| s.active_deadline_seconds) else {
            return false;
        };
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let deadline = later(self.state.start_time, Duration::from_secs(seconds));
        if deadline > self.now {
            self.wake_at(deadline);
            return false;
        }
        let message = "Pod was active on the node longer than the specified deadline";
        self.actions.push(Action::End(Verdict {
            reason: "DeadlineExceeded".to_owned(),
            message: message.to_owned(),
            grace_seconds: pod_spec::grace_seconds(self.pod),
            disruption: String::new(),
        }));
        true
    }

    /// Stops what still runs, waits as long as who has caused it has to, and begins anew.
    /// Kubernetes: RestartAllContainersOnContainerExits.
    fn restart_all(&mut self) {
        let pod = self.pod;
        if self.state.any_live() {
            let until = self.grace(pod_spec::grace_seconds(pod));
            for container in pod_spec::all_containers(pod) {
                self.stop_container(container, (until, Why::RestartAll), true);
            }
            return;
        }
        let causes = self.state.restarts_all(pod);
        match causes.filter_map(|cause| cause.crash_until(self.now)).max() {
            Some(until) => self.wake_at(until),
            None => self.actions.push(Action::BeginAnew),
        }
    }

    /// Brings the pod towards running.
    fn run(&mut self) {
        let pod = self.pod;
        if !self.state.initialized {
            for container in pod_spec::init_containers(pod) {
                if !self.run_init(container) {
                    return;
                }
            }
        } else {
            for container in pod_spec::init_containers(pod) {
                if pod_spec::is_sidecar(container) {
                    self.keep_running(container, true);
                }
            }
        }
        for container in pod_spec::containers(pod) {
            self.keep_running(container, false);
        }
    }

    /// Whether the next container may begin.
    fn run_init(&mut self, container: &Container) -> bool {
        let state = self.state.container(&container.name);
        if pod_spec::is_sidecar(container) {
            self.keep_running(container, true);
            return state.has_started(container);
        }
        match &state.phase {
            Phase::Exited(exit) if exit.code == 0 && !state.replace => true,
            _ => {
                self.start_or_wait(container, state);
                false
            }
        }
    }

    fn keep_running(&mut self, container: &Container, helper: bool) {
        let state = self.state.container(&container.name);
        match &state.phase {
            Phase::Running { .. } => match self.why_stop(container, state, helper) {
                Some((why, seconds)) if state.stop == Stop::No => {
                    let until = self.grace(seconds);
                    let container = container.name.clone();
                    self.actions.push(Action::StopContainer {
                        container,
                        until,
                        why,
                    });
                }
                _ => self.go_on_stopping(container, state, true),
            },
            Phase::Exited(exit) => {
                let again = helper
                    || state.replace
                    || state.failed_probe
                    || pod_spec::restarts(self.pod, container, exit.code);
                if again {
                    self.start_or_wait(container, state);
                }
            }
            _ => self.start_or_wait(container, state),
        }
    }

    /// Why a running container must not go on, and the seconds that it gets to end in.
    fn why_stop(
        &self,
        container: &Container,
        state: &ContainerState,
        helper: bool,
    ) -> Option<(Why, i64)> {
        let seconds = pod_spec::grace_seconds(self.pod);
        if state.failed_hook {
            return Some((Why::PostStartHook, seconds));
        }
        if self.definition_changed(container, state) {
            return Some((Why::DefinitionChanged, seconds));
        }
        let kind = state.probes.failed()?;
        let restart = helper || pod_spec::restarts(self.pod, container, EXIT_KILLED);
        let own = kind.of(container)?.termination_grace_period_seconds;
        // Kubernetes: setTerminationGracePeriod.
        let own = own.filter(|_| self.pod.metadata.deletion_grace_period_seconds.is_none());
        Some((Why::Probe { kind, restart }, own.unwrap_or(seconds)))
    }

    /// Kubernetes: a change of `image` is the one change of a running container's definition that
    /// is allowed and that needs a new run.
    fn definition_changed(&self, container: &Container, state: &ContainerState) -> bool {
        container.image.as_deref().unwrap_or_default() != state.image
    }

    fn start_or_wait(&mut self, container: &Container, state: &ContainerState) {
        if state.is_live() || state.configuring {
            self.go_on_stopping(container, state, true);
            return;
        }
        let waits = state
            .crash_until(self.now)
            .or_else(|| state.config_until(self.now));
        if let Some(until) = waits {
            self.wake_at(until);
            return;
        }
        let name = container.name.clone();
        match &state.pull {
            ImageState::Unknown => self.actions.push(Action::EnsureImage { container: name }),
            ImageState::Pulling { .. } => {}
            ImageState::Ready { .. } => self
                .actions
                .push(Action::StartContainer { container: name }),
            ImageState::Failed { .. } => match state.pull_until(self.now) {
                Some(until) => {
                    let shown = state.pull_error_until(self.now);
                    self.wake_at(shown.map_or(until, |shown| shown.min(until)));
                }
                None => self.actions.push(Action::EnsureImage { container: name }),
            },
        }
    }

    fn grace(&self, seconds: i64) -> Timestamp {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        later(self.now, Duration::from_secs(seconds))
    }

    /// Brings the pod towards its end.
    fn stop(&mut self, deleted: bool) {
        if self.state.any_live() {
            self.stop_containers(deleted);
            return;
        }
        // What is pulled or prepared at this moment is awaited: it cannot be taken back.
        if self.state.sandbox == Sandbox::Preparing {
            return;
        }
        if self.state.sandbox != Sandbox::Released {
            self.actions.push(Action::ReleaseSandbox);
            return;
        }
        if self.state.removed {
            self.actions.push(Action::Forget);
        } else if !self.state.end_told {
            self.actions.push(Action::TellEnd);
        } else if deleted {
            self.actions.push(Action::Delete);
        }
    }

    fn stop_containers(&mut self, deleted: bool) {
        let verdict = self.state.verdict.as_ref();
        let seconds = if self.state.removed {
            0
        } else if deleted {
            pod_spec::grace_seconds(self.pod)
        } else {
            verdict.map_or_else(|| pod_spec::grace_seconds(self.pod), |v| v.grace_seconds)
        };
        let main_runs = pod_spec::containers(self.pod)
            .iter()
            .any(|container| self.state.container(&container.name).is_live());
        let wished = deleted || verdict.is_some();
        if wished && main_runs && seconds > 0 && !self.state.unready_told {
            self.actions.push(Action::TellUnready);
            return;
        }
        let until = self.grace(seconds);
        let pod = self.pod;
        // Helpers outlive those whom they help, and end in the reverse of their order; their hooks
        // begin with the others'. Kubernetes: `terminationOrdering`.
        let mut turn = !self.live_plain_container();
        for container in pod_spec::init_containers(pod).iter().rev() {
            if pod_spec::is_sidecar(container) {
                let live = self.state.container(&container.name).is_live();
                self.stop_container(container, (until, Why::End), turn);
                turn &= !live;
            } else {
                self.stop_container(container, (until, Why::End), true);
            }
        }
        for container in pod_spec::containers(pod) {
            self.stop_container(container, (until, Why::End), true);
        }
    }

    /// Whether any container lives that is no helper.
    fn live_plain_container(&self) -> bool {
        let plain = |c: &&Container| !pod_spec::is_sidecar(c);
        let init = pod_spec::init_containers(self.pod).iter().filter(plain);
        init.chain(pod_spec::containers(self.pod))
            .any(|container| self.state.container(&container.name).is_live())
    }

    fn stop_container(
        &mut self,
        container: &Container,
        (until, why): (Timestamp, Why),
        turn: bool,
    ) {
        let state = self.state.container(&container.name);
        if !state.is_live() {
            return;
        }
        let name = container.name.clone();
        if !state.is_up() {
            self.actions.push(Action::GiveUpStart { container: name });
        } else if state.stop == Stop::No {
            self.actions.push(Action::StopContainer {
                container: name,
                until,
                why,
            });
        } else {
            self.go_on_stopping(container, state, turn);
        }
    }

    /// The next step of a stop that has begun: when its hook is done and it is its `turn`, or its
    /// grace is over, it is asked to stop; then it is killed when its grace is over.
    fn go_on_stopping(&mut self, container: &Container, state: &ContainerState, turn: bool) {
        let container = container.name.clone();
        match state.stop {
            Stop::No | Stop::Killed => {}
            Stop::Begun { until, hook } => {
                let until = self.shortened(until);
                if until > self.now && (hook || !turn) {
                    self.wake_at(until);
                } else {
                    let kill_at = until.max(later(self.now, GRACE_MIN));
                    self.actions.push(Action::AskToStop { container, kill_at });
                }
            }
            Stop::Asked { at, kill_at } => {
                let kill_at = self.shortened(kill_at).max(later(at, GRACE_MIN));
                if kill_at <= self.now {
                    self.actions.push(Action::KillContainer { container });
                } else {
                    self.wake_at(kill_at);
                }
            }
        }
    }

    /// The end of a grace, which a deletion may have made shorter.
    fn shortened(&self, until: Timestamp) -> Timestamp {
        let Some(since) = self.state.stopping_since else {
            return until;
        };
        let seconds = if self.state.removed {
            0
        } else {
            u64::try_from(pod_spec::grace_seconds(self.pod)).unwrap_or(0)
        };
        until.min(later(since, Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests;
