//! The last words of a container that failed: the end of its log, where its
//! `terminationMessagePolicy` asks for it. A file for them is not there: a guest's file system is
//! read-only.
//!
//! Kubernetes: kubelet `getTerminationMessage`, `readLastStringFromContainerLogs`.

use crate::kubelet::logs::{ContainerLog, LogQuery};
use crate::kubelet::runtime::ContainerExit;
use k8s_openapi::api::core::v1::Container;
use std::sync::Arc;

/// Lines of the log at most. Kubernetes: MaxContainerTerminationMessageLogLines.
const LINES_MAX: u64 = 80;
/// Bytes of the log at most. Kubernetes: MaxContainerTerminationMessageLogLength.
const BYTES_MAX: usize = 2 << 10;

/// Whether `container` wants the end of its log in its status when it fails.
pub(super) fn wanted(container: &Container) -> bool {
    container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
}

/// The exit, with the end of the log in its message if it was a failure. The log is closed: what
/// was printed without a line end is part of it.
pub(super) async fn added(mut exit: ContainerExit, log: &Arc<ContainerLog>) -> ContainerExit {
    if exit.code == 0 {
        return exit;
    }
    log.close();
    let words = match end_of(log).await {
        Ok(words) => words,
        Err(error) => format!("Error on reading termination message from logs: {error}"),
    };
    if !exit.message.is_empty() && !words.is_empty() {
        exit.message.push_str(": ");
    }
    exit.message.push_str(&words);
    exit
}

async fn end_of(log: &Arc<ContainerLog>) -> std::io::Result<String> {
    let mut stream = log.stream(LogQuery {
        tail_lines: Some(LINES_MAX),
        ..LogQuery::default()
    });
    let mut end = Vec::new();
    while let Some(part) = stream.recv().await {
        end.extend_from_slice(&part?);
        let over = end.len().saturating_sub(BYTES_MAX);
        end.drain(..over);
    }
    Ok(String::from_utf8_lossy(&end).into_owned())
}
