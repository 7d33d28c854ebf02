//! The bare embedding: the engine settings of wkube's runtime (`src/wasm_runtime/engine.rs`), so that
//! code which wkube compiled is loaded as it is, and the stock host features over kernel sockets.

use crate::Failure;
use std::path::Path;
use std::time::Duration;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    UpdateDeadline,
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// How often a running guest is interrupted.
const TICK: Duration = Duration::from_millis(5);

/// An engine as wkube has it; with `slots`, one that pools.
pub(crate) fn engine(slots: Option<u32>) -> Result<Engine, Failure> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .memory_reservation(4 << 30)
        .memory_init_cow(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .wasm_component_model(true)
        .wasm_component_model_async(true);
    if let Some(slots) = slots {
        let some_more = slots + slots / 8 + 8;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(slots)
            .total_core_instances(slots * 40)
            .total_memories(some_more)
            .total_tables(slots * 8)
            .total_stacks(some_more)
            .total_gc_heaps(0)
            .max_memory_size(4 << 30)
            .table_elements(20_000)
            .max_tables_per_module(8)
            .max_unused_warm_slots(32)
            .pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(64 << 10);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    let engine = Engine::new(&config)?;
    let ticked = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = ticked.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    });
    Ok(engine)
}

/// Code that wkube compiled on this machine, into its own cache.
#[allow(
    unsafe_code,
    reason = "the file was compiled by the wkube of this very measurement"
)]
pub(crate) fn component(engine: &Engine, code: &Path) -> Result<Component, Failure> {
    // SAFETY: see the reason above.
    let loaded = unsafe { Component::deserialize_file(engine, code) };
    loaded.map_err(|error| format!("{}: {error:#}", code.display()).into())
}

/// What a store holds.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Nowhere,
}

type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Done), Error>;

/// Outgoing requests: the guests that are measured make none.
struct Nowhere;

impl WasiHttpHooks for Nowhere {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// A linker with what a command needs.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>, Failure> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// A store for one guest that may use the machine's network and writes to our own outputs.
pub(crate) fn store(engine: &Engine, args: &[String]) -> Store<State> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stdio().inherit_network().args(args);
    wasi.allow_tcp(true)
        .allow_udp(true)
        .allow_ip_name_lookup(true);
    let state = State {
        table: ResourceTable::new(),
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks: Nowhere,
    };
    let mut store = Store::new(engine, state);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|_| {
        let next = Box::pin(tokio::task::yield_now());
        Ok(UpdateDeadline::YieldCustom(1, next))
    });
    store
}
