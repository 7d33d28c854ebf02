//! Attaching: what a container prints from now on, and what it reads, if it reads. Must not know
//! how a client's streams are carried.
//! Kubernetes: kubelet GetAttach, cri AttachContainer.

use super::Wanted;
use crate::kubelet::kubelet::Kubelet;
use crate::kubelet::logs::Tap;
use crate::kubelet::runtime::{CommandStreams, InputPipe, RunningContainer};
use crate::kubelet::start;
use crate::stdx::Clock;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::sync::Arc;
use std::time::Duration;

/// How long a client may leave output untaken; the container waits meanwhile, and must not for ever.
const STALL_MAX: Duration = Duration::from_secs(30);

/// A client's place at a container.
pub(super) struct Attachment {
    container: Arc<dyn RunningContainer>,
    tap: Option<Tap>,
    stdin: Option<Stdin>,
}

/// The container's input. It ends with the first client where the container says so.
struct Stdin {
    pipe: Arc<dyn InputPipe>,
    once: bool,
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if self.once {
            self.pipe.close();
        }
    }
}

impl Attachment {
    /// Takes the place: nothing that is printed from now on is missed.
    pub(super) fn new(
        kubelet: &Arc<Kubelet>,
        pod: &Pod,
        spec: &Container,
        restarts: u32,
        container: Arc<dyn RunningContainer>,
        wanted: Wanted,
    ) -> Result<Self, String> {
        let mut stdin = None;
        if wanted.stdin {
            let pipe = container.stdin().ok_or_else(|| {
                format!(
                    "container {:?} reads no stdin: its spec does not say `stdin: true`",
                    spec.name
                )
            })?;
            let once = spec.stdin_once == Some(true);
            stdin = Some(Stdin { pipe, once });
        }
        let tap = if wanted.stdout || wanted.stderr {
            let key = start::log_key(pod, &spec.name);
            let log = kubelet.node().logs.find(&key, restarts);
            let log = log.map_err(|error| error.to_string())?;
            Some(log.tap().ok_or("too many clients are attached")?)
        } else {
            None
        };
        Ok(Self {
            container,
            tap,
            stdin,
        })
    }

    /// Joins the streams until the container ends.
    pub(super) async fn run(self, streams: CommandStreams, clock: Clock) -> Result<(), String> {
        let Self {
            container,
            tap,
            stdin,
        } = self;
        let CommandStreams {
            stdin: input,
            output,
            ..
        } = streams;
        let reading = async move {
            if let (Some(stdin), Some(mut input)) = (stdin, input) {
                while let Some(bytes) = input.recv().await {
                    if stdin.pipe.write(bytes).await.is_err() {
                        break;
                    }
                }
            }
            std::future::pending::<()>().await;
        };
        let printing = async move {
            let Some(mut tap) = tap else {
                container.wait().await;
                return Ok(());
            };
            while let Some(piece) = tap.next().await {
                let taken = tokio::select! {
                    taken = output.send(piece) => taken,
                    () = clock.sleep(STALL_MAX) => {
                        return Err("the output was not taken in time".to_owned());
                    }
                };
                if taken.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        };
        tokio::select! {
            () = reading => Ok(()),
            printed = printing => printed,
        }
    }
}
