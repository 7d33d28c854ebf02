//! Reconcilers, each a pure plan and a thin driver. Must never touch store, net or wasm.
