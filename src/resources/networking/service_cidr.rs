//! ServiceCIDR: addresses that services may have.
//! Kubernetes: `pkg/apis/networking/validation` ValidateServiceCIDR.

use crate::meta::{FieldError, Object};
use crate::resources::columns;
use crate::resources::def::{Column, PART_VERBS, ResourceDef, Subresource};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, ip};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("networking.k8s.io", "v1", "ServiceCIDR"),
    "ServiceCIDRList",
    ("servicecidrs", "servicecidr"),
    SchemaSource::of::<k8s_openapi::api::networking::v1::ServiceCIDR>(),
    &ServiceCidrStrategy,
)
.cluster_scoped()
.subresources(const { &[Subresource::new("status", "ServiceCIDR", PART_VERBS)] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("CIDRs", "The networks, one of each family."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"spec":{"cidrs":["198.51.100.0/24"]}}"#);

/// What a ServiceCIDR does beyond its shape.
pub struct ServiceCidrStrategy;

impl Strategy for ServiceCidrStrategy {
    fn prepare_for_create(&self, cidr: &mut Object) {
        cidr.set(&["status"], json!({}));
    }

    fn validate(&self, cidr: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(cidr, "spec");
        let list = spec.field("cidrs");
        match list.len() {
            0 => errors.required(&list, "at least one CIDR required"),
            1 | 2 => networks(&list, &mut errors),
            _ => {
                let shown = json!({ "CIDRs": list.value });
                errors.invalid_as(&list, shown, "may only hold up to 2 values");
            }
        }
        errors.0
    }

    fn validate_update(&self, part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        if part != Part::Main {
            return Vec::new();
        }
        let mut errors = Errors::new();
        let (spec, before) = (At::of(new, "spec"), At::of(old, "spec"));
        let (now, before) = (spec.field("cidrs"), before.field("cidrs"));
        let grown = before.len() == 1 && now.len() == 2;
        if now.len() != before.len() && !grown {
            errors.invalid(&now, "field is immutable");
            return errors.0;
        }
        for (item, old) in now.items().zip(before.values()) {
            errors.immutable(&item, old);
        }
        if grown {
            errors.0.extend(self.validate(new));
        }
        errors.0
    }

    fn has_status(&self) -> bool {
        true
    }
}

fn networks(list: &At<'_, '_>, errors: &mut Errors) {
    let found: Vec<_> = list
        .items()
        .map(|item| ip::canonical_cidr(&item, errors))
        .collect();
    if let [Some(one), Some(other)] = found.as_slice()
        && one.address.is_ipv4() == other.address.is_ipv4()
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 \
                      and 2001:db8::/64";
        errors.invalid(list, detail);
    }
}

fn row(cidr: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(cidr, "spec");
    let list = spec.field("cidrs");
    let texts: Vec<&str> = list.values().filter_map(Value::as_str).collect();
    vec![
        json!(cidr.name()),
        json!(texts.join(",")),
        columns::age(cidr, now),
    ]
}
