//! A compiled module: code on disk or in memory, mapped into an engine when a sandbox of that
//! engine first needs it. Must not know where wasm comes from.

use super::detect::{Detected, World};
use super::engine::{Engines, TierIndex, Tiered};
use super::error::{RuntimeError, chain};
use super::preview1::{self, AcceptAbi};
use super::state::State;
use crate::stdx::Digest;
use bytes::Bytes;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use wasmtime::component::{Component, InstancePre as ComponentPre};
use wasmtime::{Engine, InstancePre, Module as CoreModule};
use wasmtime_wasi::p2::bindings::CommandPre as Run2;
use wasmtime_wasi::p3::bindings::CommandPre as Run3;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre as Handler2;
use wasmtime_wasi_http::p3::bindings::ServicePre as Handler3;

/// Compiled code that has been checked to be what this program compiled.
#[derive(Clone, Debug)]
pub(super) enum Code {
    File(PathBuf),
    Memory(Bytes),
}

/// A module that can be started. Shared by all containers that run it.
pub struct Module {
    digest: Digest,
    detected: Detected,
    code: Code,
    engines: Arc<Engines>,
    /// One for each tier of engines.
    linked: Vec<OnceLock<Linked>>,
    load: Mutex<()>,
}

/// A module linked for one engine: what is left is to instantiate.
#[derive(Clone)]
pub(super) enum Linked {
    Core(InstancePre<preview1::State>),
    Component(LinkedComponent),
}

/// The worlds of a component that it can be entered by.
#[derive(Clone)]
pub(super) struct LinkedComponent {
    pub(super) run: Option<Run>,
    pub(super) handler: Option<Arc<ProxyPre<State>>>,
}

#[derive(Clone)]
pub(super) enum Run {
    Sync(Run2<State>),
    Async(Run3<State>),
}

impl Module {
    pub(super) fn new(
        digest: Digest,
        detected: Detected,
        code: Code,
        engines: Arc<Engines>,
    ) -> Self {
        let linked = (0..engines.tiers()).map(|_| OnceLock::new()).collect();
        Self {
            digest,
            detected,
            code,
            engines,
            linked,
            load: Mutex::new(()),
        }
    }

    /// What it is run as.
    pub fn world(&self) -> World {
        self.detected.world
    }

    /// The digest of the wasm binary.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn accept(&self) -> AcceptAbi {
        self.detected.accept
    }

    pub(super) fn poolable(&self) -> bool {
        self.detected.poolable
    }

    /// The module for the engine of `tier`.
    pub(super) fn linked(&self, tier: TierIndex) -> Result<Linked, RuntimeError> {
        let Some(cell) = self.linked.get(tier) else {
            return Err(RuntimeError::Setup(format!("no tier {tier}")));
        };
        if let Some(linked) = cell.get() {
            return Ok(linked.clone());
        }
        let _one_at_a_time = self.load.lock();
        if let Some(linked) = cell.get() {
            return Ok(linked.clone());
        }
        let linked = self.link(&*self.engines.get(tier)?)?;
        Ok(cell.get_or_init(|| linked).clone())
    }

    fn link(&self, tiered: &Tiered) -> Result<Linked, RuntimeError> {
        if self.detected.world == World::Preview1Command {
            let linker = tiered.modules(self.detected.accept)?;
            let module = load_module(&tiered.engine, &self.code)?;
            let pre = linker.instantiate_pre(&module).map_err(|e| unknown(&e))?;
            return Ok(Linked::Core(pre));
        }
        let linker = tiered.components()?;
        let component = load_component(&tiered.engine, &self.code)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|e| unknown(&e))?;
        self.enter(pre).map(Linked::Component)
    }

    fn enter(&self, pre: ComponentPre<State>) -> Result<LinkedComponent, RuntimeError> {
        let no_entry = |error: wasmtime::Error| RuntimeError::NoEntry(chain(&error));
        let world = self.detected.world;
        let run = match world {
            World::HttpHandler => None,
            _ if self.detected.run_is_async => {
                Some(Run::Async(Run3::new(pre.clone()).map_err(no_entry)?))
            }
            _ => Some(Run::Sync(Run2::new(pre.clone()).map_err(no_entry)?)),
        };
        let handler = match world {
            World::CliRun => None,
            _ if self.detected.handler_is_async => {
                Some(ProxyPre::P3(Handler3::new(pre).map_err(no_entry)?))
            }
            _ => Some(ProxyPre::P2(Handler2::new(pre).map_err(no_entry)?)),
        };
        Ok(LinkedComponent {
            run,
            handler: handler.map(Arc::new),
        })
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({} {:?})", self.digest, self.detected.world)
    }
}

fn unknown(error: &wasmtime::Error) -> RuntimeError {
    RuntimeError::UnknownImports(chain(error))
}

#[allow(
    unsafe_code,
    reason = "mapping compiled code back in: it was compiled by this very program (the engine's \
              compatibility hash is in its name), lies in a folder closed to others, and its \
              checksum was compared when the module was opened"
)]
fn load_module(engine: &Engine, code: &Code) -> Result<CoreModule, RuntimeError> {
    let loaded = match code {
        // SAFETY: see the reason above.
        Code::File(path) => unsafe { CoreModule::deserialize_file(engine, path) },
        // SAFETY: these bytes never left the process.
        Code::Memory(bytes) => unsafe { CoreModule::deserialize(engine, bytes) },
    };
    loaded.map_err(|e| RuntimeError::compile(&e))
}

#[allow(unsafe_code, reason = "as for `load_module`")]
fn load_component(engine: &Engine, code: &Code) -> Result<Component, RuntimeError> {
    let loaded = match code {
        // SAFETY: as for `load_module`.
        Code::File(path) => unsafe { Component::deserialize_file(engine, path) },
        // SAFETY: as for `load_module`.
        Code::Memory(bytes) => unsafe { Component::deserialize(engine, bytes) },
    };
    loaded.map_err(|e| RuntimeError::compile(&e))
}
