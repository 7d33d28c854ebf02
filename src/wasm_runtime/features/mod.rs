//! The host features: what a component may import. One file a feature and one line in the list;
//! a guest reaches the host through nothing else.

mod wasi_cli;
mod wasi_clocks;
mod wasi_filesystem;
pub(super) mod wasi_http;
mod wasi_io;
mod wasi_random;
pub(super) mod wasi_sockets;

use super::state::State;
use wasmtime::component::Linker;

/// One host feature.
pub(super) struct HostFeature {
    /// The package of the interfaces, as a guest imports them.
    pub(super) name: &'static str,
    /// Adds the interfaces of every version that is served.
    link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Every host feature, in the order of linking.
pub(super) const FEATURES: &[HostFeature] = &[
    wasi_io::FEATURE,
    wasi_cli::FEATURE,
    wasi_clocks::FEATURE,
    wasi_random::FEATURE,
    wasi_filesystem::FEATURE,
    wasi_sockets::FEATURE,
    wasi_http::FEATURE,
];

/// Adds every feature to `linker`.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for feature in FEATURES {
        (feature.link)(linker).map_err(|error| error.context(feature.name))?;
    }
    Ok(())
}
