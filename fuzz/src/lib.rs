//! What the fuzz targets do: each takes bytes, makes of them what a stranger could send, and asserts
//! what must hold of it. `fuzz_targets/` has a file of three lines for each. A failing input stays in
//! `artifacts/`; what it showed gets a test beside the code that was wrong.
//!
//! The rooms are compiled here from their own sources (their law that arrows point down makes it
//! possible), so that private things need no door and only what is fuzzed is instrumented.

#![allow(
    dead_code,
    unused_imports,
    reason = "a room is compiled whole, and used in part"
)]

#[path = "../../src/meta/mod.rs"]
pub mod meta;
#[path = "../../src/api/request_info.rs"]
mod request_info;
#[path = "../../src/resources/mod.rs"]
pub mod resources;
#[path = "../../src/stdx/mod.rs"]
pub mod stdx;
#[path = "../../src/api/codec/strict_json.rs"]
mod strict_json;

mod apply;
mod expressions;
mod patches;
mod sample;
pub mod seeds;
mod texts;
mod wire;

pub use apply::apply_merge;
pub use expressions::{cel, go_regex, jsonpath};
pub use patches::{patch_json, patch_merge, patch_strategic};
pub use texts::{json, paths, scalars, selectors, yaml};
pub use wire::{objects, protobuf, spdy};

/// A fuzz target of a function of this crate, which plants its seeds before the first run.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::seeds::plant(stringify!($name)),
            |data: &[u8]| $crate::$name(data)
        );
    };
}
