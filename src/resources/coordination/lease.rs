//! Lease: who holds something, and until when.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("coordination.k8s.io", "v1", "Lease"),
    "LeaseList",
    ("leases", "lease"),
    SchemaSource::of::<k8s_openapi::api::coordination::v1::Lease>(),
    &LeaseStrategy,
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Holder", "Who holds the lease."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"}}"#)
.relaxed_durability();

/// How a holder may be chosen that others have not agreed on.
const STRATEGIES: &[&str] = &["OldestEmulationVersion"];

/// What a Lease does beyond its shape.
pub struct LeaseStrategy;

impl Strategy for LeaseStrategy {
    fn validate(&self, lease: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(lease, "spec");
        let seconds = spec.field("leaseDurationSeconds");
        if seconds.int().is_some_and(|n| n <= 0) {
            errors.invalid(&seconds, "must be greater than 0");
        }
        errors.not_negative(&spec.field("leaseTransitions"));
        let (strategy, preferred) = (spec.field("strategy"), spec.field("preferredHolder"));
        if strategy.is_set() {
            // The path is Kubernetes', twice the field and all.
            let at = At::root(strategy.value, "spec.strategy.strategy");
            if at.str().contains('/') {
                errors.invalid_all(&at, names::qualified_name(at.str()));
            } else {
                errors.one_of(&at, STRATEGIES);
            }
        }
        if !preferred.str().is_empty() && strategy.str().is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.forbidden(&preferred, detail);
        }
        errors.0
    }

    fn has_standard_finalizers(&self) -> bool {
        false
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn row(lease: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        json!(lease.name()),
        json!(lease.str_at(&["spec", "holderIdentity"])),
        columns::age(lease, now),
    ]
}
