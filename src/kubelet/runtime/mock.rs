//! A runtime that runs nothing and does as a pod's annotations say, for tests of what lies above.
//! Each annotation is `mock.wkube.io/<what>` for all containers of the pod, or
//! `mock.wkube.io/<what>.<container>` for one:
//!
//! | what | value | meaning |
//! |---|---|---|
//! | `run-for` | `3s`, `150ms`, `1s,9s` | end by itself after so long (without it: run until stopped); of several, each is one run's, the last one all later ones' |
//! | `exit-code` | `7` | the exit code of the end by itself (default 0) |
//! | `fail-runs` | `2` | only the first runs end with `exit-code`, later ones as if it were 0 |
//! | `print` | text | printed to stdout at the start, with a line end |
//! | `fail-pull` | `1` | so many pulls fail before one succeeds |
//! | `start-takes` | `30s` | the start takes so long, as one that compiles does |
//! | `start-error` | text | the start fails with this message |
//! | `ignore-stop` | `true` | a wish to stop is not heard: it must be killed |
//!
//! A command beside such a container is one of `echo WORDS`, `complain WORDS` (on stderr), `cat`,
//! `size` (of the terminal), `sleep SECONDS` and `exit CODE`. A container with `stdin: true` prints
//! what it reads.

use crate::kubelet::env::ImageDefaults;
use crate::kubelet::pod_spec;
use crate::kubelet::runtime::{
    CommandStreams, ContainerExit, ContainerStart, ContainerStats, ImageFailure, ImageInfo,
    InputPipe, Output, PodRuntime, RunningContainer,
};
use crate::oci::Keyring;
use crate::stdx::{Clock, Digest};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The start of the annotations' names.
const PREFIX: &str = "mock.wkube.io/";

/// The mock runtime.
pub struct MockRuntime {
    clock: Clock,
    images: Mutex<HashSet<String>>,
    pulls: Mutex<HashMap<String, u32>>,
    starts: Mutex<Vec<String>>,
}

impl MockRuntime {
    /// A runtime that waits by `clock`.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            images: Mutex::default(),
            pulls: Mutex::default(),
            starts: Mutex::default(),
        }
    }

    /// Pulls of images of the pod with that uid that were tried.
    pub fn pulls(&self, uid: &str) -> u32 {
        self.pulls.lock().get(uid).copied().unwrap_or(0)
    }

    /// Every start that was asked for, as `pod/container#restarts`, in order.
    pub fn starts(&self) -> Vec<String> {
        self.starts.lock().clone()
    }
}

fn told(pod: &Pod, container: &str, what: &str) -> Option<String> {
    let annotations = pod.metadata.annotations.as_ref()?;
    let own = annotations.get(&format!("{PREFIX}{what}.{container}"));
    own.or_else(|| annotations.get(&format!("{PREFIX}{what}")))
        .cloned()
}

fn number(pod: &Pod, container: &str, what: &str) -> Option<u32> {
    told(pod, container, what)?.parse().ok()
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(millis.parse().ok()?));
    }
    let seconds = text.strip_suffix('s').unwrap_or(text);
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// How long the run after so many restarts lasts, if it ends by itself.
fn run_for(pod: &Pod, container: &str, restarts: u32) -> Option<Duration> {
    let told = told(pod, container, "run-for")?;
    let own = told.split(',').take(restarts as usize + 1).last()?;
    duration(own)
}

fn info(image: &str) -> ImageInfo {
    ImageInfo {
        id: format!("{image}@{}", Digest::of(image.as_bytes())),
        size_bytes: image.len() as u64,
        defaults: ImageDefaults {
            entrypoint: vec!["/mock".to_owned()],
            ..ImageDefaults::default()
        },
        working_dir: None,
        local: false,
    }
}

#[async_trait]
impl PodRuntime for MockRuntime {
    fn version(&self) -> String {
        "mock://1.0.0".to_owned()
    }

    fn image(&self, _pod: &Pod, image: &str) -> Result<Option<ImageInfo>, ImageFailure> {
        if image.is_empty() || image.contains(char::is_uppercase) {
            let message = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \
                 \"{image}\": invalid reference format"
            );
            return Err(ImageFailure::InvalidName(message));
        }
        Ok(self.images.lock().contains(image).then(|| info(image)))
    }

    async fn pull(
        &self,
        pod: &Pod,
        image: &str,
        _keyring: &Keyring,
    ) -> Result<ImageInfo, ImageFailure> {
        let mut containers = pod_spec::all_containers(pod);
        let container = containers.find(|c| c.image.as_deref() == Some(image));
        let container = container.map_or("", |c| c.name.as_str());
        let failing = number(pod, container, "fail-pull").unwrap_or(0);
        let mut pulls = self.pulls.lock();
        let pulled = pulls.entry(pod_spec::uid(pod).to_owned()).or_default();
        *pulled += 1;
        if *pulled <= failing {
            let message = format!("rpc error: code = NotFound desc = {image}: not found");
            return Err(ImageFailure::Pull(message));
        }
        self.images.lock().insert(image.to_owned());
        Ok(info(image))
    }

    async fn start(&self, start: ContainerStart) -> Result<Arc<dyn RunningContainer>, String> {
        let (pod, container) = (&start.pod, start.container.as_str());
        let name = pod_spec::name(pod);
        self.starts
            .lock()
            .push(format!("{name}/{container}#{}", start.restarts));
        if let Some(takes) = told(pod, container, "start-takes").and_then(|text| duration(&text)) {
            self.clock.sleep(takes).await;
        }
        if let Some(error) = told(pod, container, "start-error") {
            return Err(error);
        }
        if let Some(text) = told(pod, container, "print") {
            start.output.write(false, format!("{text}\n").as_bytes());
        }
        let failing = number(pod, container, "fail-runs").unwrap_or(u32::MAX);
        let code = told(pod, container, "exit-code").and_then(|code| code.parse().ok());
        let code = if start.restarts < failing {
            code.unwrap_or(0)
        } else {
            0
        };
        Ok(Arc::new(MockContainer {
            clock: self.clock.clone(),
            run_for: run_for(pod, container, start.restarts),
            started: self.clock.instant(),
            code,
            ignore_stop: told(pod, container, "ignore-stop").is_some(),
            ended: watch::Sender::new(None),
            stdin: start.stdin.then(|| start.output.clone()),
        }))
    }
}

struct MockContainer {
    clock: Clock,
    run_for: Option<Duration>,
    started: tokio::time::Instant,
    code: i32,
    ignore_stop: bool,
    /// The exit code that the outside gave it.
    ended: watch::Sender<Option<i32>>,
    /// Where what it reads is printed, if it reads.
    stdin: Option<Arc<dyn Output>>,
}

#[async_trait]
impl RunningContainer for MockContainer {
    async fn wait(&self) -> ContainerExit {
        let by_itself = async {
            match self.run_for {
                Some(run_for) => {
                    let run = self.clock.instant().duration_since(self.started);
                    self.clock.sleep(run_for.saturating_sub(run)).await;
                }
                None => std::future::pending().await,
            }
        };
        let mut ended = self.ended.subscribe();
        let code = tokio::select! {
            biased;
            told = ended.wait_for(Option::is_some) => {
                told.ok().and_then(|code| *code).unwrap_or(self.code)
            }
            () = by_itself => self.code,
        };
        let reason = if code == 0 { "Completed" } else { "Error" };
        ContainerExit {
            code,
            reason: reason.to_owned(),
            message: String::new(),
        }
    }

    fn request_stop(&self) {
        if !self.ignore_stop {
            self.ended
                .send_if_modified(|code| code.replace(143).is_none());
        }
    }

    fn kill(&self) {
        self.ended
            .send_if_modified(|code| code.replace(137).is_none());
    }

    fn stats(&self) -> ContainerStats {
        ContainerStats::default()
    }

    fn resize(&self, _cpu_millis: Option<u32>, _memory_bytes: Option<u64>) -> Result<(), u64> {
        Ok(())
    }

    fn stdin(&self) -> Option<Arc<dyn InputPipe>> {
        let output = self.stdin.clone()?;
        let ended = self.ended.clone();
        Some(Arc::new(Parrot { output, ended }))
    }

    async fn exec(&self, command: Vec<String>, streams: CommandStreams) -> Result<i32, String> {
        let CommandStreams {
            stdin,
            output,
            mut sizes,
            ..
        } = streams;
        let (program, words) = command.split_first().ok_or("no command")?;
        let line = Bytes::from(format!("{}\n", words.join(" ")));
        // A client that has gone needs no output.
        match program.as_str() {
            "echo" => drop(output.send((false, line)).await),
            "complain" => drop(output.send((true, line)).await),
            "cat" => {
                let Some(mut stdin) = stdin else { return Ok(0) };
                while let Some(bytes) = stdin.recv().await {
                    drop(output.send((false, bytes)).await);
                }
            }
            "size" => {
                let size = sizes.wait_for(Option::is_some).await;
                let size = size.ok().and_then(|size| *size).ok_or("no terminal")?;
                let line = format!("{}x{}\n", size.width, size.height);
                drop(output.send((false, line.into())).await);
            }
            "sleep" => {
                let seconds = words.join("").parse().map_err(|_| "no number".to_owned())?;
                self.clock.sleep(Duration::from_secs(seconds)).await;
            }
            "exit" => return words.join("").parse().map_err(|_| "no code".to_owned()),
            _ => return Err(format!("exec: {program:?}: executable file not found")),
        }
        Ok(0)
    }
}

/// Prints what it is told; ends the container when it is told nothing more.
struct Parrot {
    output: Arc<dyn Output>,
    ended: watch::Sender<Option<i32>>,
}

#[async_trait]
impl InputPipe for Parrot {
    async fn write(&self, bytes: Bytes) -> io::Result<()> {
        self.output.write(false, &bytes);
        Ok(())
    }

    fn close(&self) {
        self.ended
            .send_if_modified(|code| code.replace(0).is_none());
    }
}
