//! What the kubelet asks of whatever runs containers: have an image, start a container, wait for
//! its end, stop it. Two runtimes: `wasm` is the product, `mock` acts as a pod's annotations say.
//! Must not know workers, statuses or the API.

mod mock;
mod wasm;

pub use mock::MockRuntime;
pub use wasm::WasmPodRuntime;

use crate::kubelet::env::ImageDefaults;
use crate::net::PodNet;
use crate::oci::Keyring;
use crate::wasm_runtime::MemoryBudget;
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::{mpsc, watch};

/// An image that is there.
#[derive(Clone, Debug)]
pub struct ImageInfo {
    /// The reference with its digest: `docker.io/x/y@sha256:...`; `status.imageID`.
    pub id: String,
    /// Size in bytes, as it was stored.
    pub size_bytes: u64,
    /// Entrypoint, command and environment.
    pub defaults: ImageDefaults,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Its copy on this machine was put there by hand or carried in the binary: it is never looked
    /// for elsewhere, whatever the pull policy says.
    pub local: bool,
}

/// An image as `status.images` of a node names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeImage {
    /// By digest and by tag.
    pub names: Vec<String>,
    /// Size in bytes, as it is stored.
    pub size_bytes: u64,
}

/// Why an image is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageFailure {
    /// The name is not one.
    #[error("{0}")]
    InvalidName(String),
    /// The local store could not be read.
    #[error("{0}")]
    Inspect(String),
    /// It could not be pulled.
    #[error("{0}")]
    Pull(String),
}

/// Where a container's output goes.
pub trait Output: Send + Sync {
    /// Bytes of stdout (or of stderr). Must not wait for long.
    fn write(&self, stderr: bool, bytes: &[u8]);

    /// Whether it takes more now; if not, `waker` is woken when it is worth asking again. Who does
    /// not ask may write nevertheless.
    fn room(&self, _waker: Option<&Waker>) -> bool {
        true
    }
}

/// A piece of output: whether it is stderr's, and the bytes.
pub type OutputPiece = (bool, Bytes);

/// The size of a client's terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The standard streams of a command that a client runs beside a container. They end with their
/// senders and receivers.
pub struct CommandStreams {
    /// What the client types; none if it types nothing.
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    /// What the client sees; waits while the client takes nothing.
    pub output: mpsc::Sender<OutputPiece>,
    /// The size of the client's terminal, each time that it changes.
    pub sizes: watch::Receiver<Option<TerminalSize>>,
    /// Whether the client wants a terminal.
    pub tty: bool,
}

/// The writing end of a container's stdin.
#[async_trait]
pub trait InputPipe: Send + Sync {
    /// Writes all of it, waiting while the container does not read.
    async fn write(&self, bytes: Bytes) -> io::Result<()>;
    /// Ends the input.
    fn close(&self);
}

/// All that is needed to start a container.
pub struct ContainerStart {
    /// The pod, for what a runtime reads off it (the mock's annotations).
    pub pod: Arc<Pod>,
    /// The container's name.
    pub container: String,
    /// Unique: `<64 hex digits>`.
    pub id: String,
    /// `spec.image`.
    pub image: String,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Whether the guest's stdin is open.
    pub stdin: bool,
    /// Where its output goes.
    pub output: Arc<dyn Output>,
    /// `limits.memory`, in bytes.
    pub memory_bytes_limit: Option<u64>,
    /// `limits.cpu`, in thousandths of a core.
    pub cpu_millis_limit: Option<u32>,
    /// The pod's network.
    pub net: Arc<PodNet>,
    /// Where an HTTP handler listens.
    pub http_port: u16,
    /// The container's TCP ports.
    pub tcp_ports: Vec<u16>,
    /// The pod says `command`, so a component that is both is a command.
    pub command_set: bool,
    /// What all guests of the node may hold together.
    pub budget: Arc<MemoryBudget>,
    /// How often this container of this pod was started before.
    pub restarts: u32,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerExit {
    /// Exit code.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, ...
    pub reason: String,
    /// For people; may be empty.
    pub message: String,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// CPU time in nanoseconds.
    pub cpu_nanos: u64,
}

/// A container that was started.
#[async_trait]
pub trait RunningContainer: Send + Sync {
    /// Waits for its end.
    async fn wait(&self) -> ContainerExit;
    /// Asks it to end: listeners close, stdin ends, it ends when no connection is open.
    fn request_stop(&self);
    /// Ends it now.
    fn kill(&self);
    /// What it uses.
    fn stats(&self) -> ContainerStats;
    /// Other limits hold from now on: thousandths of a core, bytes of memory; none is no limit. Refused
    /// if more memory is in use: the error tells how much, and nothing changes.
    fn resize(&self, cpu_millis: Option<u32>, memory_bytes: Option<u64>) -> Result<(), u64>;
    /// Its stdin, if it was started with one.
    fn stdin(&self) -> Option<Arc<dyn InputPipe>> {
        None
    }
    /// Runs a command beside it; answers the exit code, or why it cannot be run.
    async fn exec(&self, _command: Vec<String>, _streams: CommandStreams) -> Result<i32, String> {
        Err("a wasm container cannot run a second command yet".to_owned())
    }
}

/// Runs containers.
#[async_trait]
pub trait PodRuntime: Send + Sync {
    /// `status.nodeInfo.containerRuntimeVersion`: `wasmtime://48.0.8`.
    fn version(&self) -> String;
    /// The image if it is on this machine.
    fn image(&self, pod: &Pod, image: &str) -> Result<Option<ImageInfo>, ImageFailure>;
    /// Gets the image from its registry. What `keyring` has for it is tried in order, then nothing.
    async fn pull(
        &self,
        pod: &Pod,
        image: &str,
        keyring: &Keyring,
    ) -> Result<ImageInfo, ImageFailure>;
    /// The images that are on this machine. May read the disk.
    fn images(&self) -> Vec<NodeImage> {
        Vec::new()
    }
    /// Starts a container whose image is there. The error is for people.
    async fn start(&self, start: ContainerStart) -> Result<Arc<dyn RunningContainer>, String>;
}
