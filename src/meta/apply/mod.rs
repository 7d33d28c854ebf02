//! Server-side apply: which manager owns which field, what an apply changes, and what it is
//! refused for. `update` and `apply` are the doors; the rest is the algebra below them.
//! Must not know kinds (a `SchemaNode` says how lists and maps are owned), nor read the clock.
//! Kubernetes: apimachinery `util/managedfields`, sigs.k8s.io/structured-merge-diff.

mod compare;
mod field_set;
mod managed;
mod manager;
mod merge;
mod prune;
mod versions;

pub use compare::{Comparison, compare, to_set};
pub use field_set::{FieldSet, PathElement};
pub use managed::{Entry, MAX_UPDATE_MANAGERS, ManagedFields, Operation};
pub use manager::{Tracking, apply, check_config, strip_managed_fields, update};
pub use versions::Versions;

#[cfg(test)]
mod tests;
