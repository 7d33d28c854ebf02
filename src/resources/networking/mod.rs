//! Kinds of `networking.k8s.io`, and the retired forms of Ingress.

pub mod ingress;
pub mod ingress_class;
pub mod ip_address;
pub mod network_policy;
pub mod retired_ingress;
pub mod service_cidr;
