//! Kinds of the group `admissionregistration.k8s.io`. They are stored and checked; what they ask for
//! is not in force yet, and who writes one is told so.

pub(crate) mod client;
pub mod mutating_admission_policy;
pub mod mutating_admission_policy_binding;
pub mod mutating_webhook_configuration;
mod policy;
mod rules;
pub mod validating_admission_policy;
pub mod validating_admission_policy_binding;
pub mod validating_webhook_configuration;
mod webhook;

/// What who writes one of the objects is told.
fn not_in_force(what: &str) -> Vec<String> {
    vec![format!(
        "{what} are stored and checked, and not in force yet: nothing is decided by them"
    )]
}
