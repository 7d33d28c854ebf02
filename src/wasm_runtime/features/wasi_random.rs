//! `wasi:random` 0.2 and 0.3. Stock.

use super::HostFeature;
use crate::wasm_runtime::state::State;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::bindings::random;
use wasmtime_wasi::random::WasiRandom;

pub(super) const FEATURE: HostFeature = HostFeature {
    name: "wasi:random",
    link,
};

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    random::random::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    wasmtime_wasi::p3::random::add_to_linker(l)
}
