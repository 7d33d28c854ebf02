//! Kinds of the group authentication.k8s.io: questions about who somebody is. None is stored.

pub mod self_subject_review;
pub mod token_request;
pub mod token_review;
