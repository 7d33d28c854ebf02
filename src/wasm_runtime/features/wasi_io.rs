//! `wasi:io` 0.2: errors, pollables, streams. Stock.

use super::HostFeature;
use crate::wasm_runtime::state::State;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi_io::bindings::wasi::io;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:io",
    link,
};

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<State, Io>(linker, |state| state.ctx().table)?;
    io::poll::add_to_linker::<State, Io>(linker, |state| state.ctx().table)?;
    io::streams::add_to_linker::<State, Io>(linker, |state| state.ctx().table)
}
