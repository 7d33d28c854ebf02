//! Rules that many kinds share, with Kubernetes' messages: metadata, labels, selectors. Must not
//! know kinds.

pub mod at;
pub mod int_or_percent;
pub mod ip;
pub mod metadata;
pub mod selector;

pub use at::{At, Errors};
