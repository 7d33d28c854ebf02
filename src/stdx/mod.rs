//! Things that could have been in std: the clock, backoff, the shutdown tree, digests, atomic
//! file writes, the registry of figures, the process, the framings of upgraded connections (SPDY,
//! WebSocket), and the two seams (`Dialer`, `NodeTransport`) through which rooms that must not know
//! each other meet. Must never know Kubernetes.

mod atomic_file;
mod backoff;
mod clock;
mod digest;
mod metrics;
mod process;
mod seams;
mod shutdown;
pub(crate) mod spdy;
pub(crate) mod websocket;

pub use atomic_file::{create_private_dir, write_atomic};
pub use backoff::Backoff;
pub use clock::Clock;
pub use digest::{Digest, DigestError};
pub use metrics::{Labels, METRICS_CONTENT_TYPE, Metrics, Samples};
pub use process::{OPEN_FILES_LOW, hangup_ignored, raise_open_files, register_process_metrics};
pub use seams::{BoxStream, ByteStream, Dialer, NodeTransport, dial_words};
pub use shutdown::Shutdown;
