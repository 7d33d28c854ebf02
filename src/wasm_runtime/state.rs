//! What a store holds for a component: the stock WASI context, the handles, the pod's network, the
//! limiter. One store is one instance; what containers share stands behind `Arc`s.

use super::features::wasi_http::OutgoingHttp;
use super::features::wasi_sockets::SocketsView;
use super::limits::{HANDLES_MAX, Limiter};
use super::net_use::NetUse;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The state of a component's store.
pub(super) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: OutgoingHttp,
    net: Arc<NetUse>,
    limiter: Limiter,
}

impl State {
    pub(super) fn new(
        wasi: WasiCtx,
        net: Arc<NetUse>,
        outgoing: OutgoingHttp,
        limiter: Limiter,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            table,
            wasi,
            http: WasiHttpCtx::new(),
            outgoing,
            net,
            limiter,
        }
    }

    pub(super) fn limiter(&mut self) -> &mut dyn wasmtime::ResourceLimiter {
        &mut self.limiter
    }

    pub(super) fn sockets(&mut self) -> SocketsView<'_> {
        SocketsView {
            net: &self.net,
            table: &mut self.table,
        }
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
            hooks: &mut self.outgoing,
        }
    }
}
