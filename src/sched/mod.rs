//! Bind pods to nodes: queue, snapshot, plugins. The decision is a pure function of a pod and the
//! nodes (`cycle`); the rest is a thin driver. Must never write anything but bindings, status and
//! events.
//! Kubernetes: kube-scheduler; reasons and messages are its own.

mod amounts;
mod bind;
mod cycle;
mod metrics;
mod node_info;
mod plugins;
mod queue;
mod scheduler;
mod view;

pub use scheduler::{SCHEDULER_NAME, Scheduler, SchedulerConfig};
