//! The runtime's figures. Must not know what a sandbox is for.

use super::runtime::WasmRuntime;
use crate::stdx::Metrics;
use std::sync::Arc;

impl WasmRuntime {
    /// Enters the figures of the runtime.
    pub fn register(self: &Arc<Self>, metrics: &Metrics) {
        let read = |figure: fn(&WasmRuntime) -> f64| {
            let runtime = Arc::downgrade(self);
            move || runtime.upgrade().map_or(0.0, |runtime| figure(&runtime))
        };
        metrics.gauge(
            "wkube_wasm_sandboxes",
            "Sandboxes that exist",
            read(|runtime| runtime.sandboxes() as f64),
        );
        metrics.gauge(
            "wkube_wasm_sandboxes_max",
            "Sandboxes that this machine has room for",
            read(|runtime| runtime.sandboxes_max() as f64),
        );
        metrics.count(
            "wkube_wasm_modules_compiled",
            "Modules that were compiled rather than found in memory or in the cache",
            read(|runtime| runtime.modules_compiled() as f64),
        );
    }
}
