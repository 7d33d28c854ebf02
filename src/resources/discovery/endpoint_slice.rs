//! EndpointSlice: some of the addresses behind a service.
//! Kubernetes: `pkg/apis/discovery/validation`, `pkg/registry/discovery/endpointslice`.

use crate::meta::{FieldError, Object, names};
use crate::resources::columns;
use crate::resources::core::endpoints::PROTOCOLS;
use crate::resources::core::pod::defaults::{child, objects, set, set_null};
use crate::resources::def::{Column, ResourceDef};
use crate::resources::schema::SchemaSource;
use crate::resources::strategy::{Part, Strategy};
use crate::resources::validate::{At, Errors, ip, metadata};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The row.
pub static DEF: ResourceDef = ResourceDef::new(
    ("discovery.k8s.io", "v1", "EndpointSlice"),
    "EndpointSliceList",
    ("endpointslices", "endpointslice"),
    SchemaSource::of::<k8s_openapi::api::discovery::v1::EndpointSlice>(),
    &EndpointSliceStrategy,
)
.columns(
    const {
        &[
            columns::name_column(),
            Column::new("AddressType", "Of which kind the addresses are."),
            Column::new("Ports", "The first ports."),
            Column::new("Endpoints", "The first addresses."),
            columns::age_column(),
        ]
    },
    row,
)
.example(r#"{"metadata":{"name":"example"},"addressType":"IPv4","endpoints":[]}"#);

const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
/// Most endpoints of a slice.
pub const ENDPOINTS_MAX: usize = 1000;
/// Most addresses of an endpoint.
const ADDRESSES_MAX: usize = 100;
/// Most ports of a slice.
const PORTS_MAX: usize = 20_000;
/// Most entries of an endpoint's topology.
const TOPOLOGY_MAX: usize = 16;
/// Most zones or nodes that an endpoint is meant for.
const HINTS_MAX: usize = 8;

/// What an EndpointSlice does beyond its shape.
pub struct EndpointSliceStrategy;

impl Strategy for EndpointSliceStrategy {
    fn default(&self, slice: &mut Object) {
        for port in objects(slice.fields_mut(), "ports") {
            set_null(port, "name", json!(""));
            set(port, "protocol", json!("TCP"));
        }
        for endpoint in objects(slice.fields_mut(), "endpoints") {
            child(endpoint, "conditions");
        }
    }

    fn validate(&self, slice: &Object) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let kind = At::of(slice, "addressType");
        if kind.str().is_empty() {
            errors.required(&kind, "");
        } else {
            errors.one_of(&kind, ADDRESS_TYPES);
        }
        let endpoints = At::of(slice, "endpoints");
        if endpoints.len() > ENDPOINTS_MAX {
            errors.too_many(&endpoints, ENDPOINTS_MAX);
        } else {
            for endpoint in endpoints.items() {
                self::endpoint(&endpoint, kind.str(), &mut errors);
            }
        }
        ports(&At::of(slice, "ports"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _part: Part, new: &Object, old: &Object) -> Vec<FieldError> {
        let mut errors = Errors(self.validate(new));
        let kind = At::of(new, "addressType");
        errors.immutable(&kind, At::of(old, "addressType").value);
        errors.0
    }

    fn tracks_generation(&self) -> bool {
        true
    }

    fn is_new_generation(&self, new: &Object, old: &Object) -> bool {
        let fields = ["addressType", "endpoints", "ports"];
        fields
            .iter()
            .any(|field| new.get(&[field]) != old.get(&[field]))
            || new.get(&["metadata", "labels"]) != old.get(&["metadata", "labels"])
    }
}

fn endpoint(endpoint: &At<'_, '_>, kind: &str, errors: &mut Errors) {
    let addresses = endpoint.field("addresses");
    if addresses.is_empty() {
        errors.required(&addresses, "must contain at least 1 address");
    } else if addresses.len() > ADDRESSES_MAX {
        errors.too_many(&addresses, ADDRESSES_MAX);
    }
    for address in addresses.items() {
        self::address(&address, kind, errors);
    }
    let node = endpoint.field("nodeName");
    if node.is_set() {
        errors.invalid_all(&node, names::dns1123_subdomain(node.str()));
    }
    let topology = endpoint.field("deprecatedTopology");
    if topology.len() > TOPOLOGY_MAX {
        errors.too_many(&topology, TOPOLOGY_MAX);
    }
    metadata::labels(&topology, errors);
    let hostname = endpoint.field("hostname");
    if hostname.is_set() {
        errors.invalid_all(&hostname, names::dns1123_label(hostname.str()));
    }
    let hints = endpoint.field("hints");
    names_of(&hints.field("forZones"), names::label_value, errors);
    names_of(&hints.field("forNodes"), names::dns1123_subdomain, errors);
}

fn address(at: &At<'_, '_>, kind: &str, errors: &mut Errors) {
    match kind {
        "IPv4" => {
            if at.str().parse::<Ipv4Addr>().is_err() {
                errors.invalid(at, "must be a valid IPv4 address");
            }
            ip::endpoint(at, errors);
        }
        "IPv6" => {
            if at.str().parse::<Ipv6Addr>().is_err() {
                errors.invalid(at, "must be a valid IPv6 address");
            }
            ip::endpoint(at, errors);
        }
        "FQDN" => domain_name(at, errors),
        _ => {}
    }
}

/// Kubernetes: `util/validation` IsFullyQualifiedDomainName.
fn domain_name(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    let name = at.str().strip_suffix('.').unwrap_or(at.str());
    let wrong = names::dns1123_subdomain(name);
    if !wrong.is_empty() {
        for detail in wrong {
            errors.invalid_as(at, name, detail);
        }
        return;
    }
    if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid_as(at, name, detail);
        return;
    }
    for label in name.split('.') {
        for detail in names::dns1123_label(label) {
            errors.invalid_as(at, label, detail);
        }
    }
}

/// Names that an endpoint is meant for: not too many, each once.
fn names_of(list: &At<'_, '_>, wrong: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if list.len() > HINTS_MAX {
        errors.too_many(list, HINTS_MAX);
        return;
    }
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let name = item.field("name");
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
        errors.invalid_all(&name, wrong(name.str()));
    }
}

fn ports(list: &At<'_, '_>, errors: &mut Errors) {
    if list.len() > PORTS_MAX {
        errors.too_many(list, PORTS_MAX);
        return;
    }
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let name = port.field("name");
        if !name.str().is_empty() {
            errors.invalid_all(&name, names::dns1123_label(name.str()));
        }
        if !seen.insert(name.str()) {
            errors.duplicate_as(&name, name.str());
        }
        let protocol = port.field("protocol");
        if protocol.is_set() {
            errors.one_of(&protocol, PROTOCOLS);
        } else {
            errors.required(&protocol, "");
        }
        let app = port.field("appProtocol");
        if app.is_set() {
            errors.invalid_all(&app, names::qualified_name(app.str()));
        }
    }
}

fn row(slice: &Object, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = At::of(slice, "ports")
        .items()
        .map(|port| match port.field("port").int() {
            Some(number) => number.to_string(),
            None if port.field("name").is_set() => port.field("name").str().to_owned(),
            None => "*".to_owned(),
        })
        .collect();
    let endpoints = At::of(slice, "endpoints");
    let addresses = endpoints
        .values()
        .filter_map(|e| e.get("addresses")?.as_array());
    let addresses: Vec<String> = addresses
        .flatten()
        .filter_map(|address| Some(address.as_str()?.to_owned()))
        .collect();
    vec![
        json!(slice.name()),
        json!(slice.str_at(&["addressType"])),
        json!(columns::some_of(&ports, "<unset>")),
        json!(columns::some_of(&addresses, "<unset>")),
        columns::age(slice, now),
    ]
}
