//! `wasi:clocks` 0.2 and 0.3. Stock.

use super::HostFeature;
use crate::wasm_runtime::state::State;
use wasmtime::component::Linker;
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::clocks;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:clocks",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    wasmtime_wasi::p3::clocks::add_to_linker(linker)
}
