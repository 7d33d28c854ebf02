//! IPAddress: an address that is in use, and what uses it.
//! Kubernetes: `pkg/apis/networking/validation` ValidateIPAddress.

use super::ingress::validation::segment;
use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::def::{Column, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, ip};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("networking.k8s.io", "v1", "IPAddress"),
    "IPAddressList",
    ("ipaddresses", "ipaddress"),
    SchemaSource::of::<k8s_openapi::api::networking::v1::IPAddress>(),
    &IpAddressStrategy,
)
.short_names(const { &[text("ip")] })
.cluster_scoped()
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("ParentRef", "What the address was given to."),
        ]
    },
    row,
)
.example(
    r#"{"metadata":{"name":"192.0.2.1"},"spec":{"parentRef":{"resource":"services","namespace":"default","name":"example"}}}"#,
);

/// What an IPAddress does beyond its shape.
pub struct IpAddressStrategy;

impl Strategy for IpAddressStrategy {
    fn validate(&self, address: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = At::of(address, "spec");
        let parent = spec.field("parentRef");
        if !parent.is_set() {
            errors.required(&parent, "");
            return errors.0;
        }
        let group = parent.field("group");
        if !group.str().is_empty() {
            errors.invalid_all(&group, names::dns1123_subdomain(group.str()));
        }
        segment(&parent.field("resource"), true, &mut errors);
        segment(&parent.field("name"), true, &mut errors);
        segment(&parent.field("namespace"), false, &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (spec, before) = (At::of(new, "spec"), At::of(old, "spec"));
        errors.immutable(&spec.field("parentRef"), before.field("parentRef").value);
        errors.0
    }

    fn name_errors(&self, name: &str, _prefix: bool) -> Vec<String> {
        ip::canonical(name)
    }
}

fn row(address: &Object, _now: Timestamp) -> Vec<Value> {
    let spec = At::of(address, "spec");
    let parent = spec.field("parentRef");
    let mut shown = "<none>".to_owned();
    if parent.is_set() {
        shown = parent.field("resource").str().to_lowercase();
        for (before, field) in [(".", "group"), ("/", "namespace")] {
            let text = parent.field(field).str();
            if !text.is_empty() {
                shown.push_str(before);
                shown.push_str(text);
            }
        }
        shown.push('/');
        shown.push_str(parent.field("name").str());
    }
    vec![json!(address.name()), json!(shown)]
}
