//! Bind pods to nodes: queue, snapshot, plugins. The decision is a pure function of a pod and the
//! nodes (`cycle`); the rest is a thin driver. Must never write anything but bindings, status and
//! events.
//! Kubernetes: kube-scheduler; reasons and messages are its own.

mod amounts;
mod bind;
mod cluster;
mod cycle;
mod hints;
mod metrics;
mod node_info;
mod plugins;
mod queue;
mod rival;
mod scheduler;
mod selecting;
mod terms;
mod topology;
mod view;

pub use scheduler::{SCHEDULER_NAME, Scheduler, SchedulerConfig};
