//! A probe by a command in the container: its exit code is the answer. A runtime that cannot run a
//! second command says so, and that counts as not asked: it neither ends a container nor makes one
//! ready.
//!
//! Kubernetes: `pkg/probe/exec`.

use super::way::Way;
use super::{ANSWER_BYTES_MAX, Outcome};
use crate::kubelet::env;
use crate::kubelet::runtime::{CommandStreams, OutputPiece, RunningContainer};
use k8s_openapi::api::core::v1::Container;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Pieces of output that wait to be taken.
const PIECES_MAX: usize = 16;

pub(super) async fn ask(
    way: &Way,
    container: &Container,
    running: Option<&Arc<dyn RunningContainer>>,
    command: Vec<String>,
    timeout: Duration,
) -> Outcome {
    let Some(running) = running else {
        return Outcome::Error("the container does not run".to_owned());
    };
    // Kubernetes: only what the spec says in so many words is put in for `$(NAME)`.
    let value = |name: &str| {
        let mut env = container.env.iter().flatten();
        let found = env.find(|env| env.name == name && env.value_from.is_none())?;
        Some(found.value.clone().unwrap_or_default())
    };
    let command: Vec<String> = command.iter().map(|w| env::expand(w, value)).collect();
    let shown = command.join(" ");
    let done = way.within(way.after(timeout), run(running, command)).await;
    match done {
        Some((Ok(0), _)) => Outcome::Success,
        Some((Ok(_), output)) => Outcome::failure(output),
        Some((Err(error), _)) => Outcome::Error(error),
        None => {
            let timeout = timeout.as_secs();
            Outcome::failure(format!(
                "command timed out: {shown:?} timed out after {timeout}s"
            ))
        }
    }
}

/// Runs `command` without input; its exit code and the beginning of its output.
pub(in crate::kubelet) async fn run(
    running: &Arc<dyn RunningContainer>,
    command: Vec<String>,
) -> (Result<i32, String>, String) {
    let (output, mut pieces) = mpsc::channel::<OutputPiece>(PIECES_MAX);
    let (_, sizes) = watch::channel(None);
    let streams = CommandStreams {
        stdin: None,
        output,
        sizes,
        tty: false,
    };
    let reading = async {
        let mut text = Vec::new();
        while let Some((_, bytes)) = pieces.recv().await {
            let room = ANSWER_BYTES_MAX.saturating_sub(text.len());
            text.extend(bytes.iter().take(room));
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    tokio::join!(running.exec(command, streams), reading)
}
