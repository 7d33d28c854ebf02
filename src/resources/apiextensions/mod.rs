//! Kinds of the group `apiextensions.k8s.io`, and the kinds that users bring by them.

pub mod cel_rules;
pub mod conditions;
pub mod custom_resource_definition;
#[cfg(test)]
mod judged;
mod printer;
pub mod rows;
mod schema_check;
mod strategy;
pub mod structural;
mod validation;
