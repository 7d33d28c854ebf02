//! Probes: whether a running container has started, lives and is ready, asked by HTTP, TCP, gRPC
//! or a command. What follows from the answers is `machine` (pure); how is asked, one file a way.
//! All go over the pod network, never over a socket of the host. Must not know workers.
//!
//! Kubernetes: kubelet `prober`, `pkg/probe`.

mod exec;
mod grpc;
pub(super) mod http;
mod machine;
mod tcp;
mod trust;
pub(super) mod way;

pub(super) use exec::run as exec_in;
pub(super) use machine::{Kind, Outcome, Probes};

use crate::kubelet::pod_spec;
use crate::kubelet::runtime::RunningContainer;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use std::sync::Arc;
use std::time::Duration;
use way::Way;

/// How often a probe that could not be carried out is tried before it counts as that.
/// Kubernetes: maxProbeRetries.
const TRIES_MAX: usize = 3;
/// A container that has just started may not listen yet: so long after its start a refused probe
/// is asked again and counts for nothing. Kubernetes' node notices a start up to a second late.
const LISTENING_AWAITED: Duration = Duration::from_secs(1);
/// The first wait in that time; each is twice as long as the one before.
const LISTENING_WAIT_MIN: Duration = Duration::from_millis(2);
/// The longest wait in that time.
const LISTENING_WAIT_MAX: Duration = Duration::from_millis(50);
/// Bytes of an answer that are looked at. Kubernetes: maxRespBodyLength, maxReadLength.
const ANSWER_BYTES_MAX: usize = 10 << 10;
/// Who asks, as the asked see it.
const AGENT: &str = "kube-probe/1.36";

/// What is probed.
pub(super) struct Subject {
    /// Its pod.
    pub(super) pod: Arc<Pod>,
    /// Its name.
    pub(super) name: String,
    /// The container itself.
    pub(super) running: Option<Arc<dyn RunningContainer>>,
    /// The way to its pod.
    pub(super) way: Way,
}

impl Subject {
    /// The container's spec.
    pub(super) fn container(&self) -> Option<&Container> {
        pod_spec::all_containers(&self.pod).find(|container| container.name == self.name)
    }
}

/// Asks once; `awaited` if the container has only just started.
pub(super) async fn ask(subject: &Subject, kind: Kind, awaited: bool) -> Outcome {
    let Some(container) = subject.container() else {
        return Outcome::Success;
    };
    let Some(probe) = kind.of(container) else {
        return Outcome::Success;
    };
    let clock = &subject.way.clock;
    let until = clock.instant() + LISTENING_AWAITED;
    let mut wait = LISTENING_WAIT_MIN;
    let mut tries = 0;
    loop {
        match ask_once(subject, container, probe).await {
            Outcome::Failure { refused: true, .. } if awaited && clock.instant() < until => {
                clock.sleep(wait).await;
                wait = (wait * 2).min(LISTENING_WAIT_MAX);
            }
            Outcome::Error(error) => {
                tries += 1;
                if tries == TRIES_MAX {
                    return Outcome::Error(error);
                }
            }
            outcome => return outcome,
        }
    }
}

async fn ask_once(subject: &Subject, container: &Container, probe: &Probe) -> Outcome {
    let timeout = machine::seconds(probe.timeout_seconds, 1);
    let way = &subject.way;
    if let Some(action) = &probe.exec {
        let command = action.command.clone().unwrap_or_default();
        return exec::ask(way, container, subject.running.as_ref(), command, timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return match http::Ask::new(action, container, way.address, AGENT) {
            Ok(ask) => http::probe(way, ask, timeout).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        return match way::port(&action.port, container) {
            Ok(port) => tcp::ask(way, action.host.as_deref(), port, timeout).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.grpc {
        let service = action.service.as_deref().unwrap_or_default();
        return match u16::try_from(action.port) {
            Ok(port) => grpc::ask(way, port, service, timeout).await,
            Err(_) => Outcome::Error(format!("invalid port number: {}", action.port)),
        };
    }
    Outcome::Error(format!("missing probe handler for {}", container.name))
}
