//! Run one container: compile, cache, link, instantiate, limit, stop. Must never know the API or a
//! PodSpec.
//!
//! A wasm binary becomes a [`Module`] ([`WasmRuntime::compile`]) and a module a [`Container`]
//! ([`WasmRuntime::start`]), in one of four [`World`]s, told from the binary. A guest reaches the
//! host only through the list in `features/` (components) and `preview1` (core modules): files
//! through capabilities, sockets through its pod's network.

mod cache;
mod compile;
mod container;
mod course;
mod detect;
mod engine;
mod error;
mod exit;
mod features;
mod http_server;
mod launch;
mod limits;
mod meter;
mod metrics;
mod module;
mod net_use;
mod preview1;
mod runtime;
mod state;
mod stdio;
mod ticker;

pub use compile::WasmSource;
pub use container::{Container, Stats};
pub use detect::World;
pub use error::RuntimeError;
pub use exit::{Exit, ExitReason};
pub use features::wasi_http::Trust;
pub use launch::{ContainerConfig, Mount};
pub use limits::{HANDLES_MAX, MemoryBudget, WASM_BYTES_MAX};
pub use module::Module;
pub use runtime::{HttpConfig, RuntimeConfig, WasmRuntime};
pub use stdio::{NullSink, OutputSink, STDIN_BYTES_MAX, StdinWriter};
