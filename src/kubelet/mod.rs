//! The node agent: makes the pods bound to a (virtual) node real and reports back. Decides in
//! `pod_actions` (pure), does in `sync_pod`; many nodes share one process. Must never import `api`
//! or `store`: it meets the server through `client`, and the server meets it through HTTP.

mod egress_events;
mod env;
mod eviction;
mod images;
#[allow(
    clippy::module_inception,
    reason = "the word for the agent of a node, as for the room"
)]
mod kubelet;
mod lease;
mod lifecycle;
mod local_nodes;
mod logs;
mod metrics;
mod node;
mod node_status;
mod pod_actions;
mod pod_spec;
mod pod_workers;
mod probes;
mod records;
mod report;
mod runtime;
mod sandbox;
mod server;
mod start;
mod state;
mod status;
mod sync_pod;
mod termination_message;
mod unsupported;

pub use egress_events::EgressEvents;
pub use env::ImageDefaults;
pub use kubelet::{Kubelet, KubeletConfig, KubeletError};
pub use local_nodes::LocalNodes;
pub use metrics::KubeletMetrics;
pub use node_status::{Capacity, KUBELET_VERSION};
pub use runtime::{
    CommandStreams, ContainerExit, ContainerStart, ContainerStats, ImageFailure, ImageInfo,
    InputPipe, MockRuntime, NodeImage, Output, OutputPiece, PodRuntime, RunningContainer,
    TerminalSize, WasmPodRuntime,
};
