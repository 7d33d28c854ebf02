//! Kinds of the group `apiextensions.k8s.io`, and the kinds that users bring by them.

pub mod cel_rules;
pub mod conditions;
pub mod custom_resource_definition;
mod printer;
pub mod rows;
mod strategy;
pub mod structural;
mod validation;

/// What is told as long as rules are kept and not looked at.
const RULES_NOT_IN_FORCE: &str =
    "x-kubernetes-validations are stored and not in force yet: no object is checked against them";
