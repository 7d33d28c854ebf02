//! Kinds of the group autoscaling.

pub mod horizontal_pod_autoscaler;
mod metrics;
pub mod scale;
pub mod v1;
