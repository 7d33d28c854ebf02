//! What can go wrong before a guest runs. What goes wrong while it runs is an
//! [`Exit`](super::Exit). Messages are written for the status of a container: they name the cause
//! and, where there is one, the way out.

use std::path::PathBuf;

/// Why a module cannot be compiled or a container cannot be started. Cheap to clone: one failed
/// compile is told to everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The bytes are no wasm at all.
    #[error("not a wasm binary: {0}")]
    NotWasm(String),
    /// It is wasm, but exports nothing that can be run.
    #[error("nothing to run: {0}")]
    NoEntry(String),
    /// The module asks for what the host does not offer.
    #[error("the module imports what wkube does not provide: {0}")]
    UnknownImports(String),
    /// Invalid or unsupported wasm.
    #[error("the module cannot be compiled: {0}")]
    Compile(String),
    /// The binary is larger than [`WASM_BYTES_MAX`](super::WASM_BYTES_MAX).
    #[error("the module is {bytes} bytes large; the limit is {limit}")]
    TooLarge {
        /// Size of the binary.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are not what their digest says.
    #[error("the module's bytes do not have the digest {0}")]
    Digest(String),
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A volume cannot be opened.
    #[error("volume {guest}: {reason}")]
    Mount {
        /// Where it was to appear.
        guest: String,
        /// What the system said.
        reason: String,
    },
    /// The machine's limits allow no further sandbox.
    #[error("no room for another sandbox: {running} are running and {reason}")]
    NoRoom {
        /// Sandboxes that run now.
        running: usize,
        /// The limit that is reached, and how to raise it.
        reason: String,
    },
    /// The runtime itself cannot be set up on this machine.
    #[error("the wasm runtime cannot be set up: {0}")]
    Setup(String),
}

impl RuntimeError {
    pub(super) fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            reason: error.to_string(),
        }
    }

    pub(super) fn compile(error: &wasmtime::Error) -> Self {
        Self::Compile(chain(error))
    }

    pub(super) fn setup(error: &wasmtime::Error) -> Self {
        Self::Setup(chain(error))
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &wasmtime::Error) -> String {
    let mut text = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        // Contexts often repeat what they wrap.
        if depth > 0 && text.contains(&cause) {
            continue;
        }
        if depth > 0 {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
