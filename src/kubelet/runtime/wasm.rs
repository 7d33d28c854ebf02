//! Runs containers as wasm sandboxes: images from the local store or a registry, modules compiled
//! and started by `wasm_runtime`.

use crate::kubelet::env::ImageDefaults;
use crate::kubelet::runtime::{
    ContainerExit, ContainerStart, ContainerStats, ImageFailure, ImageInfo, InputPipe, NodeImage,
    Output, PodRuntime, RunningContainer,
};
use crate::oci::{
    Image, ImageError, ImageStore, ImageWasm, Keyring, Origin, PullPolicy, Reference,
};
use crate::wasm_runtime::{
    Container, ContainerConfig, Mount, OutputSink, StdinWriter, WasmRuntime, WasmSource,
};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::task::Waker;

/// The runtime of the product.
pub struct WasmPodRuntime {
    runtime: Arc<WasmRuntime>,
    images: Arc<ImageStore>,
}

impl WasmPodRuntime {
    /// Over a wasm runtime and a store of images, both shared by all nodes of the process.
    pub fn new(runtime: Arc<WasmRuntime>, images: Arc<ImageStore>) -> Self {
        Self { runtime, images }
    }
}

fn reference(image: &str) -> Result<Reference, ImageFailure> {
    Reference::parse(image).map_err(|error| {
        ImageFailure::InvalidName(format!(
            "Failed to apply default image tag \"{image}\": {error}"
        ))
    })
}

fn info(image: Image) -> ImageInfo {
    ImageInfo {
        id: image.image_id(),
        size_bytes: image.size_bytes,
        local: image.origin != Origin::Pulled,
        defaults: ImageDefaults {
            entrypoint: image.entrypoint,
            cmd: image.cmd,
            env: image.env,
        },
        working_dir: image.working_dir,
    }
}

fn inspect(error: &ImageError) -> ImageFailure {
    ImageFailure::Inspect(error.to_string())
}

#[async_trait]
impl PodRuntime for WasmPodRuntime {
    fn version(&self) -> String {
        "wasmtime://48.0.8".to_owned()
    }

    fn image(&self, _pod: &Pod, image: &str) -> Result<Option<ImageInfo>, ImageFailure> {
        let found = self.images.get(&reference(image)?);
        Ok(found.map_err(|error| inspect(&error))?.map(info))
    }

    fn images(&self) -> Vec<NodeImage> {
        let all = match self.images.list() {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%error, "the images of the node cannot be listed");
                return Vec::new();
            }
        };
        let mut by_digest: BTreeMap<String, NodeImage> = BTreeMap::new();
        for summary in all {
            let name = summary.reference.to_string();
            let digested = summary.reference.with_digest(summary.digest).to_string();
            let image = by_digest
                .entry(summary.digest.to_string())
                .or_insert_with(|| NodeImage {
                    names: Vec::new(),
                    size_bytes: summary.size_bytes,
                });
            for name in [digested, name] {
                if !image.names.contains(&name) {
                    image.names.push(name);
                }
            }
        }
        by_digest.into_values().collect()
    }

    async fn pull(
        &self,
        _pod: &Pod,
        image: &str,
        keyring: &Keyring,
    ) -> Result<ImageInfo, ImageFailure> {
        let reference = reference(image)?;
        let credentials = keyring.find(&reference);
        let policy = PullPolicy::Always;
        match self.images.ensure(&reference, policy, &credentials).await {
            Ok(image) => Ok(info(image)),
            Err(error) => Err(ImageFailure::Pull(error.to_string())),
        }
    }

    async fn start(&self, start: ContainerStart) -> Result<Arc<dyn RunningContainer>, String> {
        let reference = reference(&start.image).map_err(|error| error.to_string())?;
        let image = self
            .images
            .get(&reference)
            .map_err(|error| error.to_string())?;
        let image = image.ok_or_else(|| format!("image \"{}\" is gone", start.image))?;
        let source = match &image.wasm {
            ImageWasm::Path(path) => WasmSource::Path(path.clone()),
            ImageWasm::Static(bytes) => WasmSource::Bytes(Bytes::from_static(bytes)),
        };
        let module = self.runtime.compile(image.wasm_digest, source).await;
        let module = module.map_err(|error| error.to_string())?;
        let sink = |stderr| -> Arc<dyn OutputSink> {
            Arc::new(Sink {
                output: start.output.clone(),
                stderr,
            })
        };
        let (stdout, stderr) = (sink(false), sink(true));
        let root = image.rootfs.map(|host| Mount {
            host,
            guest: "/".to_owned(),
            read_only: true,
        });
        let config = ContainerConfig {
            id: start.id,
            name: start.container,
            args: start.args,
            env: start.env,
            working_dir: start.working_dir,
            mounts: root.into_iter().collect(),
            stdin: start.stdin,
            stdout,
            stderr,
            memory_bytes_limit: start.memory_bytes_limit,
            cpu_millis_limit: start.cpu_millis_limit,
            net: start.net,
            http_port: start.http_port,
            tcp_ports: start.tcp_ports,
            command_set: start.command_set,
            budget: start.budget,
        };
        let container = self.runtime.start(&module, config);
        let container = container.map_err(|error| error.to_string())?;
        Ok(Arc::new(WasmContainer { container }))
    }
}

struct Sink {
    output: Arc<dyn Output>,
    stderr: bool,
}

impl OutputSink for Sink {
    fn write(&self, bytes: &[u8]) {
        self.output.write(self.stderr, bytes);
    }

    fn room(&self, waker: Option<&Waker>) -> bool {
        self.output.room(waker)
    }
}

struct WasmContainer {
    container: Container,
}

#[async_trait]
impl RunningContainer for WasmContainer {
    async fn wait(&self) -> ContainerExit {
        let exit = self.container.wait().await;
        ContainerExit {
            code: exit.code,
            reason: exit.reason.as_str().to_owned(),
            message: exit.message,
        }
    }

    fn request_stop(&self) {
        self.container.request_stop();
    }

    fn kill(&self) {
        self.container.kill();
    }

    fn stats(&self) -> ContainerStats {
        let stats = self.container.stats();
        ContainerStats {
            memory_bytes: stats.memory_bytes,
            cpu_nanos: stats.cpu_nanos,
        }
    }

    fn resize(&self, cpu_millis: Option<u32>, memory_bytes: Option<u64>) -> Result<(), u64> {
        self.container.resize(cpu_millis, memory_bytes)
    }

    fn stdin(&self) -> Option<Arc<dyn InputPipe>> {
        Some(Arc::new(Stdin(self.container.stdin()?)))
    }
}

struct Stdin(StdinWriter);

#[async_trait]
impl InputPipe for Stdin {
    async fn write(&self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    fn close(&self) {
        self.0.close();
    }
}
