//! The one integration binary: each would link wasmtime. One module an area.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod api;
mod authority;
mod cli;
mod crash;
mod images;
mod jobs;
mod kube_rs;
mod kubectl;
mod kubelet;
mod net;
mod python;
mod remote;
mod serve;
mod server;
mod sim;
mod store;
mod usage;
mod wasm;
