//! How a pod ends: by its node's verdict, by its deletion, or with the node itself.

use super::{Done, SHUTDOWN_GRACE, Worker};
use crate::client::EventType;
use crate::kubelet::pod_spec;
use crate::kubelet::records::PodRecord;
use crate::kubelet::sandbox;
use crate::kubelet::state::Verdict;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

impl Worker {
    pub(super) fn end(&mut self, pod: &Pod, verdict: Verdict) {
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

    pub(super) fn delete(&mut self, pod: &Arc<Pod>, now: Timestamp) -> bool {
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

    pub(super) fn forget(&mut self, pod: &Pod) {
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
    pub(super) async fn shut_down(&mut self) {
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
}
