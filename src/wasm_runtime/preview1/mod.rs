//! Core modules with WASI preview 1: the stock implementation for files, clocks and the rest, our
//! own for what touches sockets, which the stock one refuses. A module gets its container's ports
//! as listening file descriptors, or opens sockets itself by the calls of the WasmEdge family.
//!
//! The stock table of descriptors is closed to us, so sockets live in a table of their own and the
//! calls that may meet one are shadowed; what is no socket is handed on.

mod calls;
mod errno;
mod memory;
mod poll;
mod sockets;
mod wasmedge;

use super::limits::Limiter;
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;

pub(super) use sockets::Sockets;

/// The module of preview 1's imports.
const MODULE: &str = "wasi_snapshot_preview1";

/// Which `sock_accept` a module imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AcceptAbi {
    /// None: it does not serve, or not by itself.
    None,
    /// Preview 1's: three parameters.
    Standard,
    /// WasmEdge's first extension: two parameters.
    WasmEdge,
}

/// The state of a core module's store.
pub(super) struct State {
    wasi: WasiP1Ctx,
    sockets: Sockets,
    limiter: Limiter,
}

impl State {
    pub(super) fn new(wasi: WasiP1Ctx, sockets: Sockets, limiter: Limiter) -> Self {
        Self {
            wasi,
            sockets,
            limiter,
        }
    }

    pub(super) fn limiter(&mut self) -> &mut dyn wasmtime::ResourceLimiter {
        &mut self.limiter
    }

    /// Makes the stock table leave out the descriptors that the listeners have, so that a file
    /// that is opened later does not get one of them. Where no folder is mounted, no file can be
    /// opened and nothing needs to be left out.
    pub(super) async fn reserve_listeners(&mut self, fuel: usize) -> wasmtime::Result<()> {
        for fd in self.sockets.preopened() {
            if !self.sockets.files_exist() {
                return Ok(());
            }
            self.wasi.set_hostcall_fuel(fuel);
            let opened = calls::open_folder(&mut self.wasi).await?;
            if opened != Some(fd) {
                let message = format!("descriptor {fd} cannot be kept for a listener");
                return Err(wasmtime::Error::msg(message));
            }
        }
        Ok(())
    }
}

/// The linker for modules that import this `sock_accept`.
pub(super) fn linker(engine: &Engine, abi: AcceptAbi) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    linker.allow_shadowing(true);
    calls::add(&mut linker)?;
    poll::add(&mut linker)?;
    wasmedge::add(&mut linker)?;
    if abi == AcceptAbi::WasmEdge {
        wasmedge::add_accept(&mut linker)?;
    } else {
        calls::add_accept(&mut linker)?;
    }
    Ok(linker)
}
