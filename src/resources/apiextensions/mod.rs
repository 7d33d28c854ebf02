//! Kinds of the group `apiextensions.k8s.io`.

pub mod cel_rules;
pub mod custom_resource_definition;
pub mod structural;
mod validation;
