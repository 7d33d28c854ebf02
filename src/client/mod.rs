//! Talk to an API server, in process or over TLS: requests, informers, work queue, events. One
//! client, two transports; what is above it cannot tell which. Must never import `api` or `store`.

mod discovery;
mod events;
mod informer;
mod kubeconfig;
mod request;
mod transport;
mod watch;
mod work_queue;

pub use discovery::{ApiResource, Versions, discover};
pub use events::{EventRecorder, EventType, ObjectReference};
pub use informer::{Change, HasMeta, Informer, InformerConfig, Meta, Progress};
pub use kubeconfig::{Connection, connect};
pub use request::{Client, ClientError, List, ListMeta, PatchKind, Query, collect, with_query};
pub use transport::{InProcess, Remote, ResponseBody, Transport};
pub use watch::Watch;
pub use work_queue::{QueueStats, WorkQueue};
