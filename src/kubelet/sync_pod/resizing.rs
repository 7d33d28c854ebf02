//! A pod that runs asks for other resources: the node gives them if it has them, and running
//! containers get other limits without a restart, unless they want one. Until then the pod is treated
//! as if it asked for what it has.
//! Kubernetes: kubelet `allocation` manager, `kuberuntime_manager` doPodResizeAction.

use super::Worker;
use crate::kubelet::pod_actions::{self, Why};
use crate::kubelet::pod_spec;
use crate::kubelet::state::later;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a resize that cannot be done yet waits. Kubernetes: three minutes, and when a pod goes.
const RETRY: Duration = Duration::from_secs(10);

/// What containers are given, by name.
pub(super) type Given = BTreeMap<String, ResourceRequirements>;

/// What the containers of a pod ask for.
pub(super) fn asked_for(pod: &Pod) -> Given {
    let of = |container: &Container| {
        let resources = container.resources.clone().unwrap_or_default();
        (container.name.clone(), resources)
    };
    pod_spec::all_containers(pod).map(of).collect()
}

/// The limits of a container: thousandths of a core, bytes of memory.
fn limits(container: &Container) -> (Option<u32>, Option<u64>) {
    let limits = container
        .resources
        .as_ref()
        .and_then(|all| all.limits.as_ref());
    let limit = |name: &str| Some(pod_spec::amount(limits, name)).filter(|amount| *amount > 0);
    (
        limit("cpu").and_then(|cpu| u32::try_from(cpu).ok()),
        limit("memory").and_then(|memory| u64::try_from(memory / 1_000).ok()),
    )
}

/// Whether a container wants to be restarted when its resources change so.
fn wants_restart(container: &Container, before: &ResourceRequirements) -> bool {
    let now = container.resources.clone().unwrap_or_default();
    let of = |all: &ResourceRequirements, name: &str| {
        let part = |part: &Option<BTreeMap<String, _>>| part.as_ref()?.get(name).cloned();
        (part(&all.requests), part(&all.limits))
    };
    let mut policies = container.resize_policy.iter().flatten();
    policies.any(|policy| {
        let name = policy.resource_name.as_str();
        policy.restart_policy == "RestartContainer" && of(&now, name) != of(before, name)
    })
}

impl Worker {
    /// What the containers have.
    fn given(&self) -> Given {
        let allocated = self.entry.state.lock().allocation.containers.clone();
        match allocated.is_empty() {
            true => self.given.clone(),
            false => allocated,
        }
    }

    /// Whether the containers have what the pod asks for, and nothing is under way: as nearly always.
    fn is_settled(&self, pod: &Pod) -> bool {
        let state = self.entry.state.lock();
        let allocation = &state.allocation;
        allocation.pending.is_none() && allocation.error.is_none() && {
            let given = match allocation.containers.is_empty() {
                true => &self.given,
                false => &allocation.containers,
            };
            pod_spec::all_containers(pod).all(|container| {
                let given = given.get(&container.name);
                match &container.resources {
                    Some(asked) => given == Some(asked),
                    None => given.is_none_or(|given| *given == ResourceRequirements::default()),
                }
            })
        }
    }

    /// The pod with what its containers have.
    pub(super) fn as_given(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        if self.is_settled(pod) {
            return pod.clone();
        }
        let given = self.given();
        let mut changed = Pod::clone(pod);
        if let Some(spec) = &mut changed.spec {
            let init = spec.init_containers.iter_mut().flatten();
            for container in spec.containers.iter_mut().chain(init) {
                if let Some(resources) = given.get(&container.name) {
                    container.resources = Some(resources.clone());
                }
            }
        }
        Arc::new(changed)
    }

    /// Gives a pod what it asks for now, if it may be; answers the pod with what it has then, and
    /// when to try again.
    pub(super) fn resize(
        &mut self,
        asked: &Arc<Pod>,
        now: Timestamp,
    ) -> (Arc<Pod>, Option<Timestamp>) {
        if self.is_settled(asked) {
            return (asked.clone(), None);
        }
        let (given, wanted) = (self.given(), asked_for(asked));
        let ends = asked.metadata.deletion_timestamp.is_some()
            || self.state(|state| pod_actions::is_over(asked, state) || state.verdict.is_some());
        if ends {
            return (self.as_given(asked), None);
        }
        if given == wanted {
            self.state(|state| state.allocation.pending = None);
            let failed = self.state(|state| state.allocation.error.is_some());
            if failed {
                self.enforce(asked, &Given::new(), now);
            }
            let again = self.state(|state| state.allocation.error.is_some());
            return (asked.clone(), again.then(|| later(now, RETRY)));
        }
        if let Err((reason, message)) = self.node.reallocate(asked) {
            let retry = (reason == "Deferred").then(|| later(now, RETRY));
            let is_new = self.state(|state| {
                state.allocation.pending = Some((reason.to_owned(), message));
                let is_new = state.allocation.containers.is_empty();
                state.allocation.containers.clone_from(&given);
                is_new
            });
            if is_new {
                // Who starts anew must not take it for what the pod has.
                self.record_first(asked);
            }
            return (self.as_given(asked), retry);
        }
        self.given = wanted;
        let was_recorded = self.state(|state| {
            state.allocation.pending = None;
            !std::mem::take(&mut state.allocation.containers).is_empty()
        });
        if was_recorded {
            self.record_first(asked);
        }
        self.enforce(asked, &given, now);
        let again = self.state(|state| state.allocation.error.is_some());
        (asked.clone(), again.then(|| later(now, RETRY)))
    }

    /// Sets the limits of what runs. Containers that differ from `before` and want a restart get one.
    fn enforce(&mut self, pod: &Arc<Pod>, before: &Given, now: Timestamp) {
        let mut errors = Vec::new();
        for container in pod_spec::all_containers(pod) {
            let running = self.entry.running.lock().get(&container.name).cloned();
            let Some(running) = running else { continue };
            let old = before.get(&container.name);
            if old.is_some_and(|old| wants_restart(container, old)) {
                let grace = u64::try_from(pod_spec::grace_seconds(pod)).unwrap_or(0);
                let grace = Duration::from_secs(grace);
                self.stop_container(pod, &container.name, later(now, grace), Why::Resized);
                continue;
            }
            let (cpu, memory) = limits(container);
            if let Err(used) = running.resize(cpu, memory) {
                errors.push(format!(
                    "cannot decrease memory limits of container {}: attempting to set limit ({}) \
                     below current usage ({used})",
                    container.name,
                    memory.unwrap_or(0)
                ));
            }
        }
        let error = (!errors.is_empty()).then(|| errors.join(", "));
        self.state(|state| state.allocation.error = error);
    }
}
