//! Endpoints: the addresses behind a service, as they were told before EndpointSlices.
//! Kubernetes: `pkg/apis/core/validation` ValidateEndpoints, printEndpoints.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{objects, set};
use crate::resources::def::{Column, Deprecation, ResourceDef, text};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::Strategy;
use crate::resources::validate::{At, Errors, ip};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("", "v1", "Endpoints"),
    "EndpointsList",
    ("endpoints", "endpoints"),
    SchemaSource::of::<k8s_openapi::api::core::v1::Endpoints>(),
    &EndpointsStrategy,
)
.short_names(const { &[text("ep")] })
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("Endpoints", "The first addresses and ports."),
            columns::age_column(),
        ]
    },
    row,
)
.deprecated(Deprecation::since("1.33", ("discovery.k8s.io/v1", "EndpointSlice")))
.example(
    r#"{"metadata":{"name":"example"},"subsets":[{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80,"protocol":"TCP"}]}]}"#,
);

/// Protocols of ports.
pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// What Endpoints do beyond their shape.
pub struct EndpointsStrategy;

impl Strategy for EndpointsStrategy {
    fn default(&self, endpoints: &mut Object) {
        for subset in objects(endpoints.fields_mut(), "subsets") {
            for port in objects(subset, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }

    fn validate(&self, endpoints: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for subset in At::of(endpoints, "subsets").items() {
            let (ready, other) = (subset.field("addresses"), subset.field("notReadyAddresses"));
            if ready.is_empty() && other.is_empty() {
                errors.required(&subset, "must specify `addresses` or `notReadyAddresses`");
            }
            for address in ready.items().chain(other.items()) {
                self::address(&address, &mut errors);
            }
            let ports = subset.field("ports");
            for port in ports.items() {
                self::port(&port, ports.len() > 1, &mut errors);
            }
        }
        errors.0
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }
}

fn address(address: &At<'_, '_>, errors: &mut Errors) {
    let at = address.field("ip");
    ip::any(&at, errors);
    let hostname = address.field("hostname");
    if !hostname.str().is_empty() {
        errors.invalid_all(&hostname, names::dns1123_label(hostname.str()));
    }
    let node = address.field("nodeName");
    if node.is_set() {
        errors.invalid_all(&node, names::dns1123_subdomain(node.str()));
    }
    ip::endpoint(&at, errors);
}

fn port(port: &At<'_, '_>, needs_name: bool, errors: &mut Errors) {
    let name = port.field("name");
    if !name.str().is_empty() {
        errors.invalid_all(&name, names::dns1123_label(name.str()));
    } else if needs_name {
        errors.required(&name, "");
    }
    let number = port.field("port");
    for detail in names::port_number(number.number()) {
        errors.invalid_as(&number, number.number(), detail);
    }
    let protocol = port.field("protocol");
    if protocol.str().is_empty() {
        errors.required(&protocol, "");
    } else {
        errors.one_of(&protocol, PROTOCOLS);
    }
    let app = port.field("appProtocol");
    if app.is_set() {
        errors.invalid_all(&app, names::qualified_name(app.str()));
    }
}

fn row(endpoints: &Object, now: Timestamp) -> Vec<Value> {
    let mut texts = Vec::new();
    for subset in At::of(endpoints, "subsets").items() {
        let (addresses, ports) = (subset.field("addresses"), subset.field("ports"));
        let ips = || addresses.values().filter_map(|a| a.get("ip")?.as_str());
        if ports.is_empty() {
            texts.extend(ips().map(str::to_owned));
        }
        for port in ports.items() {
            let number = port.field("port").number();
            texts.extend(ips().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{number}"),
                false => format!("{ip}:{number}"),
            }));
        }
    }
    vec![
        json!(endpoints.name()),
        json!(columns::some_of(&texts, "<none>")),
        columns::age(endpoints, now),
    ]
}
