//! What a container is started with, and how a store is made of it: once for a command, once an
//! instance for a handler. Must not know pods, images or the API.

use super::RuntimeError;
use super::course::Course;
use super::engine::{Engines, Slot};
use super::features::wasi_http::OutgoingHttp;
use super::limits::{ContainerMemory, HOSTCALL_FUEL, Limiter, MemoryBudget, RANDOM_BYTES_MAX};
use super::meter::Meter;
use super::module::{Linked, Module};
use super::net_use::NetUse;
use super::preview1::{self, AcceptAbi};
use super::state::State;
use super::stdio::{Input, Output, OutputSink};
use crate::net::PodNet;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

/// A folder of the host that a guest sees.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The folder on the host.
    pub host: PathBuf,
    /// Where the guest sees it, absolute.
    pub guest: String,
    /// Whether the guest may only read.
    pub read_only: bool,
}

/// What to run a module with.
#[derive(Clone)]
pub struct ContainerConfig {
    /// The container's id, for logs.
    pub id: String,
    /// The container's name; the first argument where `args` is empty.
    pub name: String,
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Where the guest's relative paths begin.
    pub working_dir: Option<String>,
    /// The folders that the guest sees; it sees no others.
    pub mounts: Vec<Mount>,
    /// Whether standard input is a pipe that can be written; else it is at its end.
    pub stdin: bool,
    /// Where standard output goes.
    pub stdout: Arc<dyn OutputSink>,
    /// Where standard error goes.
    pub stderr: Arc<dyn OutputSink>,
    /// Bytes of linear memory and tables; none is the node's limit alone.
    pub memory_bytes_limit: Option<u64>,
    /// Thousandths of a core; none is no limit.
    pub cpu_millis_limit: Option<u32>,
    /// The pod's network.
    pub net: Arc<PodNet>,
    /// The port that an HTTP handler is served on.
    pub http_port: u16,
    /// The ports that a preview-1 module is handed as listening sockets.
    pub tcp_ports: Vec<u16>,
    /// Whether the container sets a command: a component with both worlds then runs it.
    pub command_set: bool,
    /// The node's memory for guests.
    pub budget: Arc<MemoryBudget>,
}

/// A container's parts that its instances share.
pub(super) struct Launch {
    pub(super) config: ContainerConfig,
    pub(super) module: Arc<Module>,
    pub(super) engines: Arc<Engines>,
    pub(super) net: Arc<NetUse>,
    pub(super) outgoing: OutgoingHttp,
    pub(super) memory: Arc<ContainerMemory>,
    pub(super) meter: Arc<Meter>,
    pub(super) stdin: Input,
}

/// A place and a module linked for it.
pub(super) struct Seat {
    /// Held as long as the instance lives.
    _slot: Slot,
    pub(super) linked: Linked,
}

impl Launch {
    /// Finds a place for one instance. A pool that cannot take the module (too large a table, more
    /// memories than one) leaves it to the engine that allocates on demand.
    pub(super) fn seat(&self) -> Result<Seat, RuntimeError> {
        let attempt = |poolable| {
            let slot = self.engines.admit(poolable)?;
            let linked = self.module.linked(slot.tier())?;
            Ok(Seat {
                _slot: slot,
                linked,
            })
        };
        match attempt(self.module.poolable()) {
            Err(RuntimeError::Compile(_) | RuntimeError::Setup(_)) if self.module.poolable() => {
                attempt(false)
            }
            other => other,
        }
    }

    /// A seat outside the pools, for an instance that found a pool exhausted.
    pub(super) fn seat_on_demand(&self) -> Result<Seat, RuntimeError> {
        let slot = self.engines.admit(false)?;
        let linked = self.module.linked(slot.tier())?;
        Ok(Seat {
            _slot: slot,
            linked,
        })
    }

    /// A store for a component.
    pub(super) fn component_store(
        &self,
        engine: &Engine,
        course: &Arc<Course>,
    ) -> Result<Store<State>, RuntimeError> {
        let state = State::new(
            self.wasi()?,
            self.net.clone(),
            self.outgoing.clone(),
            self.limiter(course),
        );
        let mut store = Store::new(engine, state);
        store.limiter(State::limiter);
        self.prepare(&mut store, course);
        Ok(store)
    }

    /// A store for a core module.
    pub(super) fn core_store(
        &self,
        engine: &Engine,
        course: &Arc<Course>,
    ) -> Result<Store<preview1::State>, RuntimeError> {
        let mut builder = self.builder()?;
        let ports = match self.module.accept() {
            AcceptAbi::Standard => self.config.tcp_ports.as_slice(),
            AcceptAbi::None | AcceptAbi::WasmEdge => &[],
        };
        let folders = self.config.mounts.len();
        let sockets = preview1::Sockets::new(&self.net, self.stdin.clone(), ports, folders)
            .map_err(|error| RuntimeError::Setup(error.to_string()))?;
        builder.envs(&sockets.env());
        let state = preview1::State::new(builder.build_p1(), sockets, self.limiter(course));
        let mut store = Store::new(engine, state);
        store.limiter(preview1::State::limiter);
        self.prepare(&mut store, course);
        Ok(store)
    }

    fn limiter(&self, course: &Arc<Course>) -> Limiter {
        Limiter::new(self.memory.clone(), course.clone())
    }

    fn prepare<T: 'static>(&self, store: &mut Store<T>, course: &Arc<Course>) {
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_epoch_deadline(1);
        let (meter, course) = (self.meter.clone(), course.clone());
        store.epoch_deadline_callback(move |_| Ok(meter.on_epoch(&course)));
    }

    fn wasi(&self) -> Result<WasiCtx, RuntimeError> {
        Ok(self.builder()?.build())
    }

    fn builder(&self) -> Result<WasiCtxBuilder, RuntimeError> {
        let config = &self.config;
        let mut builder = WasiCtxBuilder::new();
        builder
            .stdin(self.stdin.clone())
            .stdout(Output(config.stdout.clone()))
            .stderr(Output(config.stderr.clone()))
            .max_random_size(RANDOM_BYTES_MAX)
            .envs(&config.env);
        if config.args.is_empty() {
            builder.arg(&config.name);
        } else {
            builder.args(&config.args);
        }
        if let Some(folder) = &config.working_dir {
            builder.initial_cwd(folder);
            // Preview 1 has no call for it, and neither has wasi-libc's getcwd: the environment
            // is where a guest can find it.
            if !config.env.iter().any(|(name, _)| name == "PWD") {
                builder.env("PWD", folder);
            }
        }
        for mount in &config.mounts {
            let perms = if mount.read_only {
                FsPerms::ReadOnly
            } else {
                FsPerms::ReadWrite
            };
            builder
                .preopened_dir(&mount.host, &mount.guest, perms)
                .map_err(|error| RuntimeError::Mount {
                    guest: mount.guest.clone(),
                    reason: super::error::chain(&error),
                })?;
        }
        Ok(builder)
    }
}
