//! A container's way from its configuration to its exit.

use super::{Done, Worker, find};
use crate::client::EventType;
use crate::kubelet::lifecycle::Hook;
use crate::kubelet::pod_actions::{self, Why};
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::ContainerExit;
use crate::kubelet::start::{self, Configured};
use crate::kubelet::state::{ImageState, Stop};
use crate::kubelet::status;
use crate::kubelet::termination_message;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Worker {
    pub(super) fn configure(&mut self, pod: &Arc<Pod>, container: &str) {
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

    pub(super) fn configured(
        &mut self,
        pod: &Arc<Pod>,
        container: &str,
        result: Result<Configured, String>,
    ) {
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

    pub(super) fn started(&mut self, pod: &Pod, container: &str, result: start::Started) {
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
                self.count_start(pod, container);
                let mut all = self.entry.running.lock();
                all.insert(container.to_owned(), running.clone());
                drop(all);
                if find(pod, container).is_some_and(|c| Hook::PostStart.of(c).is_some()) {
                    self.state(|state| state.container_mut(container).post_start = true);
                    self.call_hook(container, Hook::PostStart);
                } else {
                    self.state(|state| state.container_mut(container).started(now));
                }
                let wanted = find(pod, container).is_some_and(termination_message::wanted);
                let log = self.logs.get(container).filter(|_| wanted).cloned();
                let container = container.to_owned();
                self.operations.push(Box::pin(async move {
                    let exit = running.wait().await;
                    let exit = match &log {
                        Some(log) => termination_message::added(exit, log).await,
                        None => exit,
                    };
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
    pub(super) fn count_start(&self, pod: &Pod, container: &str) {
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

    pub(super) fn exited(&mut self, pod: &Pod, container: &str, exit: ContainerExit) {
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

    /// Begins to stop a container: says so, and calls its preStop hook if there is time for it.
    pub(super) fn stop_container(
        &mut self,
        pod: &Pod,
        container: &str,
        until: Timestamp,
        why: Why,
    ) {
        let now = self.node.clock.now();
        let message = why.message(container);
        self.node
            .event(pod, container, EventType::Normal, "Killing", message);
        let has_hook = find(pod, container).is_some_and(|c| Hook::PreStop.of(c).is_some());
        let hook = has_hook && until > now && why != Why::RestartAll;
        self.state(|state| {
            let of = state.container_mut(container);
            of.stop = Stop::Begun { until, hook };
            of.replace = matches!(why, Why::DefinitionChanged | Why::Resized);
            of.failed_probe = matches!(why, Why::Probe { restart: true, .. });
        });
        if hook {
            self.call_hook(container, Hook::PreStop);
        }
    }

    /// Asks a container to stop.
    pub(super) fn ask_to_stop(&mut self, container: &str, kill_at: Timestamp) {
        let at = self.node.clock.now();
        self.state(|state| state.container_mut(container).stop = Stop::Asked { at, kill_at });
        if let Some(running) = self.entry.running.lock().get(container) {
            running.request_stop();
        }
    }
}
