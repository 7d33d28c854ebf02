//! From wasm to a module: found in memory, found on disk, or compiled, once per digest however
//! many ask, a bounded number at once, on threads of low priority: a burst of new images must not
//! starve the server. Must not know images.

use super::RuntimeError;
use super::cache::Cache;
use super::detect::{Detected, World, detect};
use super::engine::Engines;
use super::limits::WASM_BYTES_MAX;
use super::module::{Code, Module};
use crate::stdx::Digest;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Modules that are kept ready in memory though nobody runs them.
const MODULES_KEPT: usize = 256;
/// How much nicer compiling is than serving.
const COMPILE_NICENESS: i32 = 10;

/// Where a wasm binary is.
#[derive(Clone, Debug)]
pub enum WasmSource {
    /// In a file; it is read only when the code is not cached.
    Path(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

type Compiled = Result<Arc<Module>, RuntimeError>;
type Job = Shared<BoxFuture<'static, Compiled>>;

pub(super) struct Compiler {
    engines: Arc<Engines>,
    cache_dir: Option<PathBuf>,
    cache: OnceLock<Cache>,
    jobs: Arc<Semaphore>,
    threads: OnceLock<rayon::ThreadPool>,
    thread_count: usize,
    known: Mutex<Known>,
    compiled: AtomicU64,
}

#[derive(Default)]
struct Known {
    modules: HashMap<Digest, (u64, Arc<Module>)>,
    jobs: HashMap<Digest, Job>,
    turn: u64,
}

impl Compiler {
    pub(super) fn new(engines: Arc<Engines>, cache_dir: Option<PathBuf>, jobs: usize) -> Arc<Self> {
        let jobs = jobs.max(1);
        Arc::new(Self {
            engines,
            cache_dir,
            cache: OnceLock::new(),
            jobs: Arc::new(Semaphore::new(jobs)),
            threads: OnceLock::new(),
            thread_count: jobs,
            known: Mutex::default(),
            compiled: AtomicU64::new(0),
        })
    }

    /// How many modules were compiled rather than found.
    pub(super) fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    pub(super) async fn module(self: &Arc<Self>, digest: Digest, wasm: WasmSource) -> Compiled {
        let job = {
            let mut known = self.known.lock();
            known.turn += 1;
            let turn = known.turn;
            if let Some((used, module)) = known.modules.get_mut(&digest) {
                *used = turn;
                return Ok(module.clone());
            }
            let start = || self.clone().start(digest, wasm);
            known.jobs.entry(digest).or_insert_with(start).clone()
        };
        job.await
    }

    /// Runs one job to its end even if everybody who asked has gone.
    fn start(self: Arc<Self>, digest: Digest, wasm: WasmSource) -> Job {
        let task = tokio::spawn(async move {
            let made = self.make(digest, wasm).await;
            let mut known = self.known.lock();
            known.jobs.remove(&digest);
            if let Ok(module) = &made {
                known.remember(digest, module.clone());
            }
            made
        });
        task.map(|joined| match joined {
            Ok(made) => made,
            Err(error) => Err(RuntimeError::Setup(format!(
                "the compile job ended: {error}"
            ))),
        })
        .boxed()
        .shared()
    }

    async fn make(self: &Arc<Self>, digest: Digest, wasm: WasmSource) -> Compiled {
        let permit = self.jobs.clone().acquire_owned().await;
        let _permit = permit.map_err(|e| RuntimeError::Setup(e.to_string()))?;
        let compiler = self.clone();
        let blocking = tokio::task::spawn_blocking(move || compiler.find_or_build(digest, &wasm));
        let (detected, code) = blocking
            .await
            .map_err(|e| RuntimeError::Compile(format!("the compiler failed: {e}")))??;
        let module = Module::new(digest, detected, code, self.engines.clone());
        // Links it, so that an unknown import is told now and not at the first start.
        let slot = self.engines.admit(module.poolable());
        match slot {
            Ok(slot) => match module.linked(slot.tier()) {
                Err(RuntimeError::UnknownImports(names)) => {
                    return Err(RuntimeError::UnknownImports(names));
                }
                _not_for_this_engine_or_fine => {}
            },
            // No room to run it says nothing about the module.
            Err(_no_room) => {}
        }
        Ok(Arc::new(module))
    }

    fn find_or_build(
        &self,
        digest: Digest,
        wasm: &WasmSource,
    ) -> Result<(Detected, Code), RuntimeError> {
        let cache = self.cache()?;
        if let Some(found) = cache.and_then(|cache| cache.find(&digest)) {
            return Ok(found);
        }
        let wasm = read(wasm)?;
        if Digest::of(&wasm) != digest {
            return Err(RuntimeError::Digest(digest.to_string()));
        }
        let detected = detect(&wasm)?;
        let started = std::time::Instant::now();
        let code = self.compile(&wasm, detected.world)?;
        self.compiled.fetch_add(1, Relaxed);
        tracing::debug!(%digest, bytes = wasm.len(), took = ?started.elapsed(), "compiled");
        let Some(cache) = cache else {
            return Ok((detected, Code::Memory(code.into())));
        };
        match cache.keep(&digest, &detected, &code) {
            Ok(file) => Ok((detected, file)),
            Err(error) => {
                // A full disk costs the next start a compile, not this one its container.
                tracing::warn!(%error, "compiled code cannot be kept");
                Ok((detected, Code::Memory(code.into())))
            }
        }
    }

    fn compile(&self, wasm: &[u8], world: World) -> Result<Vec<u8>, RuntimeError> {
        let engine = self.engines.compiler()?;
        let build = || match world {
            World::Preview1Command => engine.precompile_module(wasm),
            _ => engine.precompile_component(wasm),
        };
        self.threads()?
            .install(build)
            .map_err(|e| RuntimeError::compile(&e))
    }

    /// Threads that compile: the compiler runs its own parallel parts on them as well.
    fn threads(&self) -> Result<&rayon::ThreadPool, RuntimeError> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(self.thread_count)
            .thread_name(|n| format!("wkube-compile-{n}"))
            .start_handler(|_| {
                // On Linux priority belongs to the thread. Where it cannot be lowered we compile
                // at the usual one.
                let _ = rustix::process::setpriority_process(None, COMPILE_NICENESS);
            })
            .build()
            .map_err(|e| RuntimeError::Setup(e.to_string()))?;
        Ok(self.threads.get_or_init(|| threads))
    }

    fn cache(&self) -> Result<Option<&Cache>, RuntimeError> {
        let Some(folder) = &self.cache_dir else {
            return Ok(None);
        };
        if let Some(cache) = self.cache.get() {
            return Ok(Some(cache));
        }
        let mut hasher = std::hash::DefaultHasher::new();
        let engine = self.engines.compiler()?;
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let cache = Cache::open(folder, format!("{:016x}", hasher.finish()))?;
        Ok(Some(self.cache.get_or_init(|| cache)))
    }
}

impl Known {
    /// Keeps `module`; of too many the one that was asked for longest ago and is not running goes.
    fn remember(&mut self, digest: Digest, module: Arc<Module>) {
        self.turn += 1;
        self.modules.insert(digest, (self.turn, module));
        if self.modules.len() <= MODULES_KEPT {
            return;
        }
        let unused = self
            .modules
            .iter()
            .filter(|(_, (_, m))| Arc::strong_count(m) == 1);
        let oldest = unused
            .min_by_key(|(_, (turn, _))| *turn)
            .map(|(digest, _)| *digest);
        if let Some(oldest) = oldest {
            self.modules.remove(&oldest);
        }
    }
}

fn read(wasm: &WasmSource) -> Result<Bytes, RuntimeError> {
    match wasm {
        WasmSource::Bytes(bytes) => Ok(bytes.clone()),
        WasmSource::Path(path) => {
            let failed = |error: std::io::Error| RuntimeError::io(path, &error);
            let bytes = std::fs::metadata(path).map_err(failed)?.len();
            if bytes > WASM_BYTES_MAX {
                return Err(RuntimeError::TooLarge {
                    bytes,
                    limit: WASM_BYTES_MAX,
                });
            }
            std::fs::read(path).map(Bytes::from).map_err(failed)
        }
    }
}
