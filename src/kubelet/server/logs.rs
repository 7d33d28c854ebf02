//! `/containerLogs/<namespace>/<pod>/<container>`: the log of a container, in the words of
//! Kubernetes' kubelet where there is none.
//!
//! Kubernetes: kubelet `GetKubeletContainerLogs`, `validateContainerLogStatus`.

use super::{Body, Query, body, respond, text};
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::logs::{LogError, LogQuery, LogStream};
use crate::kubelet::pod_spec;
use crate::kubelet::start;
use crate::kubelet::state::{ContainerState, ImageState, Phase};
use crate::kubelet::status;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

pub(super) async fn answer(
    kubelet: &Arc<Kubelet>,
    namespace: &str,
    name: &str,
    container: &str,
    query: &Query,
) -> Response<Body> {
    let Some((pod, entry)) = kubelet.find(namespace, name) else {
        let message = format!("pod \"{name}\" does not exist");
        return text(StatusCode::NOT_FOUND, message);
    };
    if !pod_spec::all_containers(&pod).any(|c| c.name == container) {
        let message = format!("container \"{container}\" not found in pod \"{name}_{namespace}\"");
        return text(StatusCode::NOT_FOUND, message);
    }
    let wanted = match wanted(query, kubelet.node().clock.now()) {
        Ok(wanted) => wanted,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let previous = is_true(query, "previous");
    let instance = {
        let state = entry.state.lock();
        instance(kubelet, &pod, &state, container, previous)
    };
    let instance = match instance {
        Ok(instance) => instance,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let found = kubelet
        .node()
        .logs
        .find(&start::log_key(&pod, container), instance);
    match found {
        Ok(log) => stream(log.stream(wanted)),
        // It has printed nothing before the process began anew.
        Err(LogError::NotFound) => text(StatusCode::OK, ""),
        Err(LogError::Io(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn stream(parts: LogStream) -> Response<Body> {
    let parts = futures::stream::unfold(parts, |mut parts| async move {
        let part = parts.recv().await?;
        Some((part, parts))
    });
    respond(StatusCode::OK, "text/plain", body(parts))
}

fn is_true(query: &Query, name: &str) -> bool {
    query
        .get(name)
        .is_some_and(|value| value == "true" || value == "1")
}

fn number(query: &Query, name: &str) -> Result<Option<u64>, String> {
    match query.get(name).filter(|text| !text.is_empty()) {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{name}: {text:?} is not a number of at least 0")),
        None => Ok(None),
    }
}

fn wanted(query: &Query, now: Timestamp) -> Result<LogQuery, String> {
    let mut since = None;
    if let Some(seconds) = number(query, "sinceSeconds")? {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let ago = SignedDuration::from_secs(seconds);
        since = Some(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH));
    }
    if let Some(text) = query.get("sinceTime").filter(|text| !text.is_empty()) {
        let time: Timestamp = text
            .parse()
            .map_err(|_| format!("sinceTime: {text:?} is not a time as in RFC 3339"))?;
        since = Some(time);
    }
    let only_stderr = match query.get("stream").map(String::as_str) {
        Some("Stdout") => Some(false),
        Some("Stderr") => Some(true),
        _ => None,
    };
    Ok(LogQuery {
        follow: is_true(query, "follow"),
        tail_lines: number(query, "tailLines")?,
        since,
        timestamps: is_true(query, "timestamps"),
        limit_bytes: number(query, "limitBytes")?,
        only_stderr,
    })
}

/// Which run's log is meant: its number, or the words of why there is none.
fn instance(
    kubelet: &Kubelet,
    pod: &Pod,
    pod_state: &crate::kubelet::state::PodState,
    container: &str,
    previous: bool,
) -> Result<u32, String> {
    let state = pod_state.container(container);
    let name = pod_spec::name(pod);
    // What the status shows as the last state is the previous run.
    let waits = state.crash_until(kubelet.node().clock.now()).is_some();
    if previous {
        let last = match &state.phase {
            Phase::Exited(_) if waits => Some(state.restarts),
            _ if state.last_exit.is_some() => Some(state.restarts.saturating_sub(1)),
            _ => None,
        };
        return last.ok_or_else(|| {
            format!("previous terminated container \"{container}\" in pod \"{name}\" not found")
        });
    }
    match &state.phase {
        Phase::Running { .. } | Phase::Exited(_) | Phase::Starting { .. } => Ok(state.restarts),
        Phase::Waiting | Phase::ConfigFailed { .. } if state.last_exit.is_some() => {
            Ok(state.restarts.saturating_sub(1))
        }
        _ => Err(format!(
            "container \"{container}\" in pod \"{name}\" is {}",
            why_waiting(kubelet, pod, pod_state, container, state)
        )),
    }
}

fn why_waiting(
    kubelet: &Kubelet,
    pod: &Pod,
    pod_state: &crate::kubelet::state::PodState,
    container: &str,
    state: &ContainerState,
) -> String {
    let node = kubelet.node();
    let now = node.clock.now();
    let shown = status::build(pod, pod_state, None, &node.host_ips, now);
    let init = shown.init_container_statuses.into_iter().flatten();
    let mut all = init.chain(shown.container_statuses.into_iter().flatten());
    let waiting = all
        .find(|status| status.name == container)
        .and_then(|status| status.state?.waiting?.reason);
    match (waiting.as_deref(), &state.pull) {
        (Some("ImagePullBackOff"), _) => {
            "waiting to start: trying and failing to pull image".to_owned()
        }
        (_, ImageState::Failed { .. }) => "waiting to start: image can't be pulled".to_owned(),
        (Some(reason), _) => format!("waiting to start: {reason}"),
        (None, _) => "not available".to_owned(),
    }
}
