//! The hooks of a container's life, postStart and preStop: an HTTP request over the pod network, a
//! sleep, or a command. Must not know when they are called.
//!
//! Kubernetes: kubelet `lifecycle/handlers.go`.

use crate::kubelet::probes::{self, Subject, http};
use crate::kubelet::runtime::RunningContainer;
use k8s_openapi::api::core::v1::{Container, Lifecycle, LifecycleHandler};
use std::sync::Arc;
use std::time::Duration;

/// How long an HTTP hook may take; who waits for it gives up long before. Kubernetes has no limit.
const HTTP_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Who asks, as the asked see it.
const AGENT: &str = "kube-lifecycle/1.36";

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// After the start; the container is not running for anybody before it is done.
    PostStart,
    /// Before the container is asked to stop, within its grace.
    PreStop,
}

/// What came of a hook that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// All is well.
    Well,
    /// The host has no TLS: it was asked without. The text is its `host:port`.
    WithoutTls(String),
}

/// Why a hook failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HookError {
    /// It was called; the words are for the log, as they may hold what nobody should see.
    Failed(String),
    /// It cannot be called here; the words are for people.
    CannotCall(String),
}

impl Hook {
    /// The hook of this kind that `container` has.
    pub(super) fn of(self, container: &Container) -> Option<&LifecycleHandler> {
        let lifecycle: &Lifecycle = container.lifecycle.as_ref()?;
        match self {
            Self::PostStart => lifecycle.post_start.as_ref(),
            Self::PreStop => lifecycle.pre_stop.as_ref(),
        }
    }

    /// `PostStartHook`, `PreStopHook`.
    fn title(self) -> &'static str {
        match self {
            Self::PostStart => "PostStartHook",
            Self::PreStop => "PreStopHook",
        }
    }

    /// The reason of the Event about its failure.
    pub(super) fn failed_reason(self) -> &'static str {
        match self {
            Self::PostStart => "FailedPostStartHook",
            Self::PreStop => "FailedPreStopHook",
        }
    }

    /// The message of that Event. What the hook said is not in it, as in Kubernetes.
    pub(super) fn failed_message(self, error: &HookError) -> String {
        let title = self.title();
        match error {
            HookError::Failed(_) => format!("{title} failed"),
            HookError::CannotCall(why) => format!("{title} failed: {why}"),
        }
    }
}

/// Calls the hook.
pub(super) async fn call(subject: &Subject, hook: Hook) -> Result<Called, HookError> {
    let Some(container) = subject.container() else {
        return Ok(Called::Well);
    };
    let Some(handler) = hook.of(container) else {
        return Ok(Called::Well);
    };
    if let Some(action) = &handler.exec {
        let command = action.command.clone().unwrap_or_default();
        return exec(subject.running.as_ref(), command).await;
    }
    if let Some(action) = &handler.sleep {
        let seconds = u64::try_from(action.seconds).unwrap_or(0);
        subject.way.clock.sleep(Duration::from_secs(seconds)).await;
        return Ok(Called::Well);
    }
    if let Some(action) = &handler.http_get {
        let way = &subject.way;
        let ask = http::Ask::new(action, container, way.address, AGENT);
        let ask = ask.map_err(HookError::Failed)?;
        return match http::call(way, &ask, HTTP_TIME_MAX).await {
            Ok(()) => Ok(Called::Well),
            Err(no) if no.words.ends_with(http::NOT_HTTPS) => {
                let host = ask.authority();
                let again = http::call(way, &ask.plain(), HTTP_TIME_MAX).await;
                let again = again.map(|()| Called::WithoutTls(host));
                again.map_err(|no| HookError::Failed(no.words))
            }
            Err(no) => Err(HookError::Failed(no.words)),
        };
    }
    // Kubernetes takes tcpSocket in a spec and cannot call it.
    let error = "Cannot run handler: invalid handler";
    Err(HookError::Failed(error.to_owned()))
}

async fn exec(
    running: Option<&Arc<dyn RunningContainer>>,
    command: Vec<String>,
) -> Result<Called, HookError> {
    let Some(running) = running else {
        return Err(HookError::Failed("the container does not run".to_owned()));
    };
    let shown = command.join(" ");
    match probes::exec_in(running, command).await {
        (Ok(0), _) => Ok(Called::Well),
        (Ok(code), output) => Err(HookError::Failed(format!(
            "command '{shown}' exited with {code}: {output}"
        ))),
        (Err(error), _) => Err(HookError::CannotCall(error)),
    }
}
