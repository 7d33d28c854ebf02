//! `wasi:filesystem` 0.2 and 0.3: only what a mount opened, through capabilities. Stock.

use super::HostFeature;
use crate::wasm_runtime::state::State;
use wasmtime::component::Linker;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:filesystem",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    wasmtime_wasi::p3::filesystem::add_to_linker(linker)
}
