//! A refused way out of the cluster as an Event of the pod that tried it. The network tells it at
//! most once a minute a pod. Must not know rules.

use crate::client::{EventRecorder, EventType, ObjectReference};
use crate::net::{NetEvents, PodIdentity};
use parking_lot::Mutex;
use std::sync::Arc;

/// Hands the network's refusals to a recorder, which exists only after the API server does.
#[derive(Default)]
pub struct EgressEvents {
    recorder: Mutex<Option<EventRecorder>>,
}

impl EgressEvents {
    /// Without a recorder yet: nothing runs before there is one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on refusals are recorded.
    pub fn record_by(&self, recorder: EventRecorder) {
        *self.recorder.lock() = Some(recorder);
    }
}

impl NetEvents for EgressEvents {
    fn egress_denied(&self, pod: &PodIdentity, destination: &str, rule: &str) {
        let Some(recorder) = self.recorder.lock().clone() else {
            return;
        };
        let (namespace, name) = pod.name.split_once('/').unwrap_or(("", &pod.name));
        let about = ObjectReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: pod.id.clone(),
            ..ObjectReference::default()
        };
        let message = format!(
            "Connection to {destination} refused: {rule}. `wkube serve --egress` grants what pods \
             may reach outside the cluster"
        );
        recorder.event(&about, EventType::Warning, "EgressDenied", message);
    }
}
