//! Lease: who holds something, and until when.

use crate::resources::def::ResourceDef;
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("coordination.k8s.io", "v1", "Lease"),
    "LeaseList",
    ("leases", "lease"),
    SchemaSource::of::<k8s_openapi::api::coordination::v1::Lease>(),
    &LeaseStrategy,
)
.example(r#"{"metadata":{"name":"example"}}"#)
.relaxed_durability();

/// What a Lease does beyond its shape.
pub struct LeaseStrategy;

impl Strategy for LeaseStrategy {
    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}
