//! Kinds of the group `resource.k8s.io`: devices, and who asks for them. They are stored; nothing
//! allocates devices yet.

pub mod device_class;
mod requests;
pub mod resource_claim;
pub mod resource_claim_template;
pub mod resource_slice;
