//! The wasm runtime of a process: engines, compiler, and the threads that guests run on, apart
//! from the server's own, so that a guest that spins delays no request of the API.

use super::RuntimeError;
use super::compile::{Compiler, WasmSource};
use super::container::Container;
use super::engine::Engines;
use super::features::wasi_http::Trust;
use super::launch::ContainerConfig;
use super::module::Module;
use super::ticker::Ticker;
use crate::stdx::Digest;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Threads that carry out guests' blocking calls on files at most.
const BLOCKING_THREADS_MAX: usize = 32;

/// How a runtime is made.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Where compiled code is kept; none keeps it in memory.
    pub cache_dir: Option<PathBuf>,
    /// Threads that run guests; 0 is one a processor.
    pub guest_threads: usize,
    /// Modules that are compiled at once, and threads that compile.
    pub compile_jobs: usize,
    /// How HTTP handlers are served, and their requests sent.
    pub http: HttpConfig,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            guest_threads: 0,
            compile_jobs: 1,
            http: HttpConfig::default(),
        }
    }
}

/// How the HTTP handler of one container is served, and what its own requests need.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Instances at once; a request beyond waits for its turn.
    pub instances_max: usize,
    /// Requests, one after the other, that an instance answers before it is replaced. What a guest
    /// keeps in its memory between requests is seen by the next one; 1 isolates every request.
    pub requests_per_instance: usize,
    /// How long an instance without a request is kept.
    pub idle: Duration,
    /// Whom guests trust when they send requests by HTTPS.
    pub trust: Trust,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            instances_max: 64,
            requests_per_instance: 10_000,
            idle: Duration::from_secs(10),
            trust: Trust::of_the_machine(),
        }
    }
}

/// The wasm runtime of a process.
pub struct WasmRuntime {
    engines: Arc<Engines>,
    ticker: Arc<Ticker>,
    compiler: Arc<Compiler>,
    http: HttpConfig,
    guests: Option<tokio::runtime::Runtime>,
}

impl WasmRuntime {
    /// Starts the threads; engines are built when the first module comes.
    pub fn new(config: RuntimeConfig) -> Result<Arc<Self>, RuntimeError> {
        let setup = |error: std::io::Error| RuntimeError::Setup(error.to_string());
        let ticker = Ticker::start().map_err(setup)?;
        let engines = Engines::new(ticker.clone());
        let threads = match config.guest_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let guests = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("wkube-guest")
            .enable_all()
            .build()
            .map_err(setup)?;
        Ok(Arc::new(Self {
            compiler: Compiler::new(engines.clone(), config.cache_dir, config.compile_jobs),
            engines,
            ticker,
            http: config.http,
            guests: Some(guests),
        }))
    }

    /// The module of the wasm binary with `digest`: from memory, from the cache, or compiled.
    /// Must be called on a tokio runtime. The binary is read only if it must be compiled.
    pub async fn compile(
        &self,
        digest: Digest,
        wasm: WasmSource,
    ) -> Result<Arc<Module>, RuntimeError> {
        self.compiler.module(digest, wasm).await
    }

    /// Starts a container. Returns as soon as it is under way; what fails from then on is its
    /// [`Exit`](super::Exit).
    pub fn start(
        &self,
        module: &Arc<Module>,
        config: ContainerConfig,
    ) -> Result<Container, RuntimeError> {
        let Some(guests) = &self.guests else {
            return Err(RuntimeError::Setup("the runtime has been shut down".into()));
        };
        Container::start(
            guests.handle(),
            &self.engines,
            &self.ticker,
            &self.http,
            module,
            config,
        )
    }

    /// Sandboxes that exist now.
    pub fn sandboxes(&self) -> usize {
        self.engines.running()
    }

    /// Sandboxes that this machine has room for.
    pub fn sandboxes_max(&self) -> usize {
        self.engines.sandboxes_max()
    }

    /// How many modules were compiled, rather than found in memory or in the cache.
    pub fn modules_compiled(&self) -> u64 {
        self.compiler.compiled()
    }

    /// The packages of interfaces that components may import.
    pub fn host_features() -> impl Iterator<Item = &'static str> {
        super::features::FEATURES.iter().map(|feature| feature.name)
    }
}

impl Drop for WasmRuntime {
    fn drop(&mut self) {
        self.ticker.stop();
        if let Some(guests) = self.guests.take() {
            // Guests' futures are dropped at their next turn; waiting here could block a server
            // thread.
            guests.shutdown_background();
        }
    }
}

impl std::fmt::Debug for WasmRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WasmRuntime({} sandboxes)", self.sandboxes())
    }
}
