//! The status of a pod as Kubernetes writes it, from its spec and what the node knows. Pure. Times
//! of conditions are kept from the status before as long as the condition stays what it was.
//!
//! Kubernetes: kubelet `generateAPIPodStatus`, `getPhase`, `status/generate.go`.

use crate::kubelet::pod_actions;
use crate::kubelet::pod_spec;
use crate::kubelet::state::{
    ContainerState, EXIT_KILLED, Exit, ImageState, Phase, PodState, Sandbox, Stop,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::net::IpAddr;

/// What a pod whose node reports it looks like to a client.
pub(super) fn build(
    pod: &Pod,
    state: &PodState,
    before: Option<&PodStatus>,
    host_ips: &[IpAddr],
    now: Timestamp,
) -> PodStatus {
    let over = pod_actions::is_over(pod, state) && !state.any_live();
    let init: Vec<ContainerStatus> = pod_spec::init_containers(pod)
        .iter()
        .map(|container| container_status(pod, container, state, over, now))
        .collect();
    let main: Vec<ContainerStatus> = pod_spec::containers(pod)
        .iter()
        .map(|container| container_status(pod, container, state, over, now))
        .collect();
    let phase = phase(pod, state, over);
    let conditions = conditions(pod, state, phase, &init, &main, before, now);
    let addresses = |ips: &[IpAddr]| ips.first().map(IpAddr::to_string);
    let host_ip = addresses(host_ips);
    let verdict = state.verdict.as_ref();
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        container_statuses: Some(main),
        init_container_statuses: (!init.is_empty()).then_some(init),
        host_ips: host_ip.is_some().then(|| {
            let ip = |ip: &IpAddr| core::HostIP { ip: ip.to_string() };
            host_ips.iter().map(ip).collect()
        }),
        host_ip,
        pod_ip: addresses(&state.addresses),
        pod_ips: (!state.addresses.is_empty()).then(|| {
            let ip = |ip: &IpAddr| core::PodIP { ip: ip.to_string() };
            state.addresses.iter().map(ip).collect()
        }),
        qos_class: Some(pod_spec::qos_class(pod).to_owned()),
        start_time: Some(Time(state.start_time)),
        observed_generation: pod.metadata.generation,
        reason: verdict.map(|v| v.reason.clone()).filter(|r| !r.is_empty()),
        message: verdict.map(|v| v.message.clone()).filter(|m| !m.is_empty()),
        ..PodStatus::default()
    }
}

/// `status.phase`.
fn phase(pod: &Pod, state: &PodState, over: bool) -> &'static str {
    if over {
        let failed = state.verdict.is_some()
            || state.lost
            || pod_actions::init_failed(pod, state)
            || !all_succeeded(pod, state);
        return if failed { "Failed" } else { "Succeeded" };
    }
    let has_run = |container: &Container| {
        let state = state.container(&container.name);
        state.is_running() || state.exit().is_some() || state.last_exit.is_some()
    };
    let main_has_run = pod_spec::containers(pod).iter().all(has_run);
    if state.initialized && main_has_run {
        "Running"
    } else {
        "Pending"
    }
}

fn all_succeeded(pod: &Pod, state: &PodState) -> bool {
    pod_spec::containers(pod).iter().all(|container| {
        let exit = state.container(&container.name).exit();
        exit.is_some_and(|exit| exit.code == 0)
    })
}

fn terminated(exit: &Exit) -> core::ContainerState {
    core::ContainerState {
        terminated: Some(core::ContainerStateTerminated {
            container_id: (!exit.id.is_empty()).then(|| exit.id.clone()),
            exit_code: exit.code,
            reason: Some(exit.reason.clone()),
            message: (!exit.message.is_empty()).then(|| exit.message.clone()),
            started_at: Some(Time(exit.started_at)),
            finished_at: Some(Time(exit.finished_at)),
            signal: None,
        }),
        ..core::ContainerState::default()
    }
}

fn waiting(reason: &str, message: Option<String>) -> core::ContainerState {
    core::ContainerState {
        waiting: Some(core::ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        }),
        ..core::ContainerState::default()
    }
}

/// The words of a container's crash wait.
pub(super) fn crash_message(pod: &Pod, container: &str, state: &ContainerState) -> String {
    format!(
        "back-off {} restarting failed container={container} pod={}",
        go_duration(state.crash_delay().as_secs()),
        full_name(pod)
    )
}

/// `name_namespace(uid)`, as Kubernetes' messages name a pod.
pub(super) fn full_name(pod: &Pod) -> String {
    let (name, namespace) = (pod_spec::name(pod), pod_spec::namespace(pod));
    format!("{name}_{namespace}({})", pod_spec::uid(pod))
}

/// Seconds as Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn go_duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

fn container_status(
    pod: &Pod,
    container: &Container,
    pod_state: &PodState,
    over: bool,
    now: Timestamp,
) -> ContainerStatus {
    let state = pod_state.container(&container.name);
    let (shown, last) = shown(pod, container, pod_state, over, now);
    let running = shown.running.is_some();
    let is_init = pod_spec::init_containers(pod)
        .iter()
        .any(|c| c.name == container.name);
    let sidecar = is_init && pod_spec::is_sidecar(container);
    let ready = if is_init && !sidecar {
        shown.terminated.as_ref().is_some_and(|t| t.exit_code == 0)
    } else {
        running
            && state.probes.ready(container)
            && !closing(pod, pod_state)
            && state.stop == Stop::No
    };
    let id_of = |of: &core::ContainerState| of.terminated.as_ref()?.container_id.clone();
    let container_id = match &state.phase {
        Phase::Running { id, .. } => Some(id.clone()),
        _ => id_of(&shown).or_else(|| last.as_ref().and_then(id_of)),
    };
    let image = match state.image.as_str() {
        "" => container.image.clone().unwrap_or_default(),
        image => image.to_owned(),
    };
    // Of a container that asks for nothing nothing is told.
    let resources = container.resources.clone().filter(|resources| {
        running && (resources.requests.is_some() || resources.limits.is_some())
    });
    ContainerStatus {
        allocated_resources: resources.as_ref().and_then(|all| all.requests.clone()),
        resources,
        name: container.name.clone(),
        state: Some(shown),
        last_state: Some(last.unwrap_or_default()),
        ready,
        restart_count: i32::try_from(state.restarts).unwrap_or(i32::MAX),
        image,
        image_id: state.image_id.clone(),
        container_id,
        started: Some(running && state.probes.started(container)),
        ..ContainerStatus::default()
    }
}

/// Whether the pod's listeners are about to close.
fn closing(pod: &Pod, state: &PodState) -> bool {
    pod.metadata.deletion_timestamp.is_some() || state.verdict.is_some() || state.removed
}

/// The state that is shown, and the last one.
fn shown(
    pod: &Pod,
    container: &Container,
    pod_state: &PodState,
    over: bool,
    now: Timestamp,
) -> (core::ContainerState, Option<core::ContainerState>) {
    let state = pod_state.container(&container.name);
    let last = state.last_exit.as_ref().map(terminated);
    match &state.phase {
        Phase::Running { started_at, .. } => {
            let running = core::ContainerState {
                running: Some(core::ContainerStateRunning {
                    started_at: Some(Time(*started_at)),
                }),
                ..core::ContainerState::default()
            };
            (running, last)
        }
        Phase::Exited(exit) => {
            if !over && state.crash_until(now).is_some() && will_restart(pod, container, exit.code)
            {
                let message = crash_message(pod, &container.name, state);
                return (
                    waiting("CrashLoopBackOff", Some(message)),
                    Some(terminated(exit)),
                );
            }
            if !over && let Some(wait) = pull_error(container, state, now) {
                return (wait, Some(terminated(exit)));
            }
            (terminated(exit), last)
        }
        _ if over && (pod_state.initialized || pod_state.lost) => (unknown_end(), last),
        Phase::ConfigFailed {
            reason, message, ..
        } => (waiting(reason, Some(message.clone())), last),
        Phase::Waiting | Phase::Starting { .. } => {
            let wait = pull_error(container, state, now).unwrap_or_else(|| {
                let has_init = !pod_spec::init_containers(pod).is_empty();
                let reason = if has_init && !pod_state.initialized {
                    "PodInitializing"
                } else {
                    "ContainerCreating"
                };
                waiting(reason, None)
            });
            (wait, last)
        }
    }
}

fn will_restart(pod: &Pod, container: &Container, code: i32) -> bool {
    let init = pod_spec::init_containers(pod);
    if init.iter().any(|c| c.name == container.name) {
        pod_spec::init_restarts(pod, container, code)
    } else {
        pod_spec::restarts(pod, container, code)
    }
}

/// Kubernetes: status manager, `TerminatePod`.
fn unknown_end() -> core::ContainerState {
    core::ContainerState {
        terminated: Some(core::ContainerStateTerminated {
            exit_code: EXIT_KILLED,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some(
                "The container could not be located when the pod was terminated".to_owned(),
            ),
            ..core::ContainerStateTerminated::default()
        }),
        ..core::ContainerState::default()
    }
}

fn pull_error(
    container: &Container,
    state: &ContainerState,
    now: Timestamp,
) -> Option<core::ContainerState> {
    let ImageState::Failed {
        reason, message, ..
    } = &state.pull
    else {
        return None;
    };
    if reason != "ErrImagePull" || state.pull_error_until(now).is_some() {
        return Some(waiting(reason, Some(message.clone())));
    }
    let image = container.image.as_deref().unwrap_or_default();
    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
    Some(waiting("ImagePullBackOff", Some(message)))
}

struct Conditions<'a> {
    pod: &'a Pod,
    before: &'a [PodCondition],
    now: Timestamp,
    list: Vec<PodCondition>,
}

impl Conditions<'_> {
    fn add(&mut self, kind: &str, status: bool, reason: Option<&str>, message: Option<String>) {
        let text = if status { "True" } else { "False" };
        let before = self.before.iter().find(|c| c.type_ == kind);
        let since = before
            .filter(|before| before.status == text)
            .and_then(|before| before.last_transition_time.clone())
            .unwrap_or(Time(self.now));
        self.list.push(PodCondition {
            type_: kind.to_owned(),
            status: text.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: Some(since),
            last_probe_time: None,
            observed_generation: self.pod.metadata.generation,
        });
    }
}

fn conditions(
    pod: &Pod,
    state: &PodState,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    before: Option<&PodStatus>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let before = before.and_then(|status| status.conditions.as_deref());
    let mut list = Conditions {
        pod,
        before: before.unwrap_or_default(),
        now,
        list: Vec::with_capacity(5),
    };
    if let Some(verdict) = state.verdict.as_ref().filter(|v| !v.disruption.is_empty()) {
        let message = Some(verdict.message.clone());
        list.add("DisruptionTarget", true, Some(&verdict.disruption), message);
    }
    let sandbox = state.sandbox == Sandbox::Ready;
    list.add("PodReadyToStartContainers", sandbox, None, None);
    let completed = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    let incomplete = incomplete(pod, state, init);
    if phase == "Succeeded" {
        list.add("Initialized", true, Some("PodCompleted"), None);
    } else if incomplete.is_empty() {
        list.add("Initialized", true, None, None);
    } else {
        let message = format!(
            "containers with incomplete status: [{}]",
            incomplete.join(" ")
        );
        let reason = Some("ContainersNotInitialized");
        list.add("Initialized", false, reason, Some(message));
    }
    let helper = |status: &&ContainerStatus| {
        let all = pod_spec::init_containers(pod);
        all.iter()
            .any(|c| c.name == status.name && pod_spec::is_sidecar(c))
    };
    let unready: Vec<&str> = init
        .iter()
        .filter(helper)
        .chain(main)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    let (ready, reason, message) = match completed {
        Some(reason) => (false, Some(reason), None),
        None if unready.is_empty() => (true, None, None),
        None => (false, Some("ContainersNotReady"), Some(message)),
    };
    let gate = if ready {
        closed_gate(pod, list.before)
    } else {
        None
    };
    match gate {
        Some(message) => list.add(
            "Ready",
            false,
            Some("ReadinessGatesNotReady"),
            Some(message),
        ),
        None => list.add("Ready", ready, reason, message.clone()),
    }
    list.add("ContainersReady", ready, reason, message);
    list.add("PodScheduled", true, None, None);
    let allocation = &state.allocation;
    if let Some((reason, message)) = &allocation.pending {
        let message = Some(message.clone());
        list.add("PodResizePending", true, Some(reason), message);
    }
    if let Some(error) = &allocation.error {
        let message = Some(error.clone());
        list.add("PodResizeInProgress", true, Some("Error"), message);
    }
    if pod_spec::could_restart_all(pod) {
        // Kubernetes: GenerateAllContainersRestartingCondition.
        let restarting = completed.is_none() && state.restarting_all;
        let message = restarting.then(|| "container exited with restart policy rule".to_owned());
        let reason = restarting.then_some("RestartAllContainersStarted");
        let kind = "AllContainersRestarting";
        list.add(kind, restarting, completed.or(reason), message);
    }
    list.list
}

/// The message of a readiness gate that is not open, if there is one.
fn closed_gate(pod: &Pod, before: &[PodCondition]) -> Option<String> {
    let gates = pod_spec::spec(pod)?.readiness_gates.as_deref()?;
    let own = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let conditions = own.unwrap_or(before);
    let mut messages = Vec::new();
    for gate in gates {
        let kind = &gate.condition_type;
        match conditions.iter().find(|c| &c.type_ == kind) {
            Some(condition) if condition.status == "True" => {}
            Some(condition) => messages.push(format!(
                "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                condition.status
            )),
            None => messages.push(format!(
                "corresponding condition of pod readiness gate \"{kind}\" does not exist."
            )),
        }
    }
    (!messages.is_empty()).then(|| messages.join(", "))
}

fn incomplete<'a>(pod: &Pod, state: &PodState, init: &'a [ContainerStatus]) -> Vec<&'a str> {
    if state.initialized {
        return Vec::new();
    }
    let sidecar = |name: &str| {
        let all = pod_spec::init_containers(pod);
        all.iter()
            .any(|c| c.name == name && pod_spec::is_sidecar(c))
    };
    init.iter()
        .filter(|status| {
            if sidecar(&status.name) {
                status.started != Some(true)
            } else {
                !status.ready
            }
        })
        .map(|status| status.name.as_str())
        .collect()
}
