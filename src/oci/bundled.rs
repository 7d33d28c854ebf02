//! The images that are part of wkube: found by name with no network and without touching the
//! disk. The one file that embeds the built guests.

/// An image in the binary.
#[derive(Debug)]
pub struct Bundled {
    /// The names it is found by, as a manifest may write them.
    pub names: &'static [&'static str],
    /// The program's name, its argument 0.
    pub program: &'static str,
    /// TCP ports that it listens on.
    pub exposed_ports: &'static [u16],
    /// `NAME=value`.
    pub env: &'static [&'static str],
    /// The module.
    pub wasm: &'static [u8],
}

/// All of them. Pass it to [`super::ImageStore::open`].
pub static BUNDLED: &[Bundled] = &[
    Bundled {
        names: &["gihyodocker/echo:latest", "wkube/wasm-echo:latest"],
        program: "wasm-echo.wasm",
        exposed_ports: &[8080],
        env: &[],
        wasm: include_bytes!("../../examples/wasm-echo/prebuilt/wasm-echo.wasm"),
    },
    Bundled {
        names: &["gihyodocker/nginx:latest", "wkube/wasm-nginx:latest"],
        program: "wasm-nginx.wasm",
        exposed_ports: &[80],
        env: &[],
        wasm: include_bytes!("../../examples/wasm-nginx/prebuilt/wasm-nginx.wasm"),
    },
    Bundled {
        names: &["wkube/wasm-http:latest"],
        program: "wasm-http.wasm",
        exposed_ports: &[8080],
        env: &[],
        wasm: include_bytes!("../../examples/wasm-http/prebuilt/wasm-http.wasm"),
    },
];
