//! When the probes of a pod's containers are asked, and what is said of their answers. An answer
//! from which nothing follows costs no look at the rest of the pod.

use super::{Done, Worker, find};
use crate::client::EventType;
use crate::kubelet::lifecycle::{self, Called, Hook, HookError};
use crate::kubelet::pod_spec;
use crate::kubelet::probes::{self, Kind, Outcome, Subject, way::Way};
use crate::kubelet::state::{Phase, PodState, Stop};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Whether any container of the pod has a probe.
pub(super) fn has_probes(pod: &Pod) -> bool {
    pod_spec::all_containers(pod).any(|container| {
        let probes = [
            &container.startup_probe,
            &container.liveness_probe,
            &container.readiness_probe,
        ];
        probes.into_iter().any(Option::is_some)
    })
}

/// Where in its period a container's liveness probe comes, between 0 and 1: for each the same every
/// time, for many spread evenly.
fn spread(pod: &Pod, container: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    (pod_spec::uid(pod), container).hash(&mut hasher);
    let part = u32::try_from(hasher.finish() >> 32).unwrap_or(0);
    f64::from(part) / f64::from(u32::MAX)
}

/// Kubernetes goes on asking whether a pod that ends is ready; here it is unready from the moment
/// that its end is wished.
fn ends(pod: &Pod, state: &PodState) -> bool {
    pod.metadata.deletion_timestamp.is_some() || state.removed || state.verdict.is_some()
}

impl Worker {
    /// Asks the probes that are due; when the next ones are.
    pub(super) fn begin_probes(&mut self) -> Option<Timestamp> {
        if !self.probed {
            return None;
        }
        let pod = self.entry.pod();
        let now = self.node.clock.now();
        let mut wake: Option<Timestamp> = None;
        let mut asks = Vec::new();
        self.state(|state| {
            if ends(&pod, state) {
                return;
            }
            for container in pod_spec::all_containers(&pod) {
                let of = state.container(&container.name);
                let Phase::Running { id, started_at } = &of.phase else {
                    continue;
                };
                if of.stop != Stop::No {
                    continue;
                }
                let (id, since) = (id.clone(), *started_at);
                let spread = spread(&pod, &container.name);
                let (due, next) = of.probes.due(container, since, spread, now);
                for kind in due {
                    let of = state.container_mut(&container.name);
                    let awaited = kind != Kind::Liveness && of.probes.unanswered(kind);
                    if let Some(probe) = kind.of(container) {
                        of.probes.begin(kind, probe, now);
                    }
                    asks.push((container, id.clone(), kind, awaited));
                }
                // What was begun now is asked again when it is answered.
                wake = super::earliest(wake, next);
            }
        });
        for (container, id, kind, awaited) in asks {
            self.ask(&pod, &container.name, id, (kind, awaited));
        }
        wake
    }

    fn ask(&mut self, pod: &Arc<Pod>, container: &str, id: String, (kind, awaited): (Kind, bool)) {
        let Some(subject) = self.subject(pod, container) else {
            return;
        };
        let container = container.to_owned();
        self.operations.push(Box::pin(async move {
            let outcome = probes::ask(&subject, kind, awaited).await;
            Done::Probed {
                container,
                id,
                kind,
                outcome,
            }
        }));
    }

    fn subject(&self, pod: &Arc<Pod>, container: &str) -> Option<Subject> {
        let net = self.sandbox.as_ref()?.net.clone();
        Some(Subject {
            running: self.entry.running.lock().get(container).cloned(),
            pod: pod.clone(),
            name: container.to_owned(),
            way: Way {
                fabric: self.node.fabric.clone(),
                address: *net.addresses().first()?,
                net,
                clock: self.node.clock.clone(),
            },
        })
    }

    /// Notes an answer; whether anything follows from it.
    pub(super) fn probed(
        &mut self,
        pod: &Pod,
        container: &str,
        id: &str,
        (kind, outcome): (Kind, Outcome),
    ) -> bool {
        let Some(spec) = find(pod, container) else {
            return false;
        };
        let Some(probe) = kind.of(spec) else {
            return false;
        };
        let changed = self.state(|state| {
            let over = ends(pod, state);
            let of = state.container_mut(container);
            // The answer of a run that is over, or about to be, is nobody's.
            let same = of.is_running() && of.run_id() == Some(id) && of.stop == Stop::No;
            (same && !over).then(|| of.probes.note(kind, probe, &outcome))
        });
        let Some(changed) = changed else {
            return false;
        };
        self.node.metrics.probes.count(kind, &outcome);
        let title = kind.title();
        let (reason, message) = match outcome {
            Outcome::Success => return changed,
            Outcome::Warning(words) => ("ProbeWarning", format!("{title} probe warning: {words}")),
            Outcome::Failure { words, .. } => {
                ("Unhealthy", format!("{title} probe failed: {words}"))
            }
            Outcome::Error(words) => {
                let message =
                    format!("{title} probe errored and resulted in unknown state: {words}");
                ("Unhealthy", message)
            }
        };
        self.node
            .event(pod, container, EventType::Warning, reason, message);
        changed
    }

    /// Calls a hook of a container that runs.
    pub(super) fn call_hook(&mut self, container: &str, hook: Hook) {
        let id = self.state(|state| {
            let of = state.container(container);
            of.run_id().unwrap_or_default().to_owned()
        });
        let Some(subject) = self.subject(&self.entry.pod(), container) else {
            return;
        };
        let container = container.to_owned();
        self.operations.push(Box::pin(async move {
            let result = lifecycle::call(&subject, hook).await;
            Done::Hooked {
                container,
                id,
                hook,
                result,
            }
        }));
    }

    /// A hook is done.
    pub(super) fn hooked(
        &mut self,
        pod: &Pod,
        container: &str,
        id: &str,
        (hook, result): (Hook, Result<Called, HookError>),
    ) {
        let now = self.node.clock.now();
        let same = self.state(|state| {
            let of = state.container_mut(container);
            if of.run_id() != Some(id) {
                return false;
            }
            match hook {
                Hook::PostStart => {
                    of.post_start = false;
                    of.failed_hook = result.is_err();
                    of.started(now);
                }
                Hook::PreStop => {
                    if let Stop::Begun { hook, .. } = &mut of.stop {
                        *hook = false;
                    }
                }
            }
            true
        });
        match result {
            Ok(Called::Well) => {}
            Ok(Called::WithoutTls(host)) => {
                let message = format!(
                    "request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP \
                     succeeded"
                );
                let kind = EventType::Warning;
                self.node
                    .event(pod, "", kind, "LifecycleHTTPFallback", message);
            }
            Err(error) if same => {
                let name = pod_spec::name(pod);
                tracing::info!(node = %self.node.name, pod = name, container, ?error, "a hook failed");
                let message = hook.failed_message(&error);
                let kind = EventType::Warning;
                self.node
                    .event(pod, container, kind, hook.failed_reason(), message);
            }
            Err(_) => {}
        }
    }
}
