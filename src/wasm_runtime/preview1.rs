//! Core modules with WASI preview 1: the stock implementation.
use super::limits::Limiter;
use super::net_use::NetUse;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wasmtime::{Engine, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;

/// Which `sock_accept` a module was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AcceptAbi {
    /// Preview 1's: three parameters.
    Standard,
    /// WasmEdge's first extension: two parameters.
    WasmEdge,
}

/// The pod's sockets as a core module sees them.
pub(super) struct Sockets;

impl Sockets {
    pub(super) fn new(_net: &Arc<NetUse>, _ports: &[u16]) -> Self {
        Self
    }

    pub(super) fn env(&self, _mounts: usize) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The state of a core module's store.
pub(super) struct State {
    wasi: WasiP1Ctx,
    limiter: Limiter,
}

impl State {
    pub(super) fn new(
        wasi: WasiP1Ctx,
        _sockets: Sockets,
        limiter: Limiter,
        _mounts: usize,
    ) -> Self {
        Self { wasi, limiter }
    }

    pub(super) fn limiter(&mut self) -> &mut dyn wasmtime::ResourceLimiter {
        &mut self.limiter
    }
}

pub(super) fn linker(engine: &Engine, _abi: AcceptAbi) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    linker.allow_shadowing(true);
    // The stock one turns a code of 126 and above into a trap.
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(wasmtime_wasi::I32Exit(code & 0xff).into()) },
    )?;
    Ok(linker)
}
