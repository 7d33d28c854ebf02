//! Kinds of `rbac.authorization.k8s.io`: who may do what. Must not decide it.

pub mod aggregation;
pub mod cluster_role;
pub mod cluster_role_binding;
pub mod policy;
pub mod role;
pub mod role_binding;

mod binding;
mod rules;

/// The group of these kinds, of the roles that bindings name, and of users and groups.
pub const GROUP: &str = "rbac.authorization.k8s.io";
