//! What a pod's containers share, its address and network: making it, and letting it go.

use super::{Done, SANDBOX_RETRY, Worker};
use crate::client::EventType;
use crate::kubelet::sandbox::{self, SandboxParts};
use crate::kubelet::state::{Sandbox, later};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

impl Worker {
    pub(super) fn prepare_sandbox(&mut self, pod: &Arc<Pod>) {
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

    pub(super) fn sandbox_done(&mut self, pod: &Pod, result: Result<SandboxParts, String>) {
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

    pub(super) fn release_sandbox(&mut self) {
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
}
