//! Rules that many kinds share, with Kubernetes' messages: names, metadata, labels. Must not know
//! kinds.

pub mod names;
