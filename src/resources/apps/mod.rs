//! Kinds of the group apps: what keeps pods running.

pub mod controller_revision;
pub mod daemon_set;
pub mod deployment;
pub mod replica_set;
pub mod stateful_set;

mod rollout;
