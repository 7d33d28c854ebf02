//! What an Ingress may say. Must not know which services there are.
//! Kubernetes: `pkg/apis/networking/validation` ValidateIngressSpec.

use crate::meta::{FieldError, Object, names};
use crate::resources::validate::{At, Errors, ip};
use serde_json::Value;
use std::net::IpAddr;

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
/// What a path may not contain.
const WRONG_INSIDE: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
/// What a path may not end with.
const WRONG_END: &[&str] = &["/..", "/."];
const NO_ADDRESS: &str = "must be a DNS name, not an IP address";

/// Everything that is wrong with the spec.
pub(super) fn validate(ingress: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let spec = At::of(ingress, "spec");
    let (rules, default) = (spec.field("rules"), spec.field("defaultBackend"));
    if rules.is_empty() && !default.is_set() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.invalid_as(&spec, rules.value.clone(), detail);
    }
    if default.is_set() {
        backend(&default, &mut errors);
    }
    for rule in rules.items() {
        self::rule(&rule, &mut errors);
    }
    for tls in spec.field("tls").items() {
        for host in tls.field("hosts").items() {
            self::host(&host, &mut errors);
        }
        let secret = tls.field("secretName");
        if !secret.str().is_empty() {
            errors.invalid_all(&secret, names::dns1123_subdomain(secret.str()));
        }
    }
    let class = spec.field("ingressClassName");
    if class.is_set() {
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
    }
    errors.0
}

/// Everything that is wrong with the status.
pub(super) fn validate_status(ingress: &Object) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let status = At::of(ingress, "status");
    let balancer = status.field("loadBalancer");
    for entry in balancer.field("ingress").items() {
        let (address, name) = (entry.field("ip"), entry.field("hostname"));
        if !address.str().is_empty() {
            ip::any(&address, &mut errors);
        }
        if !name.str().is_empty() {
            errors.invalid_all(&name, names::dns1123_subdomain(name.str()));
            if name.str().parse::<IpAddr>().is_ok() {
                errors.invalid(&name, NO_ADDRESS);
            }
        }
    }
    errors.0
}

fn rule(rule: &At<'_, '_>, errors: &mut Errors) {
    let host = rule.field("host");
    if !host.str().is_empty() {
        if host.str().parse::<IpAddr>().is_ok() {
            errors.invalid(&host, NO_ADDRESS);
        }
        self::host(&host, errors);
    }
    let http = rule.field("http");
    if !http.is_set() {
        return;
    }
    let paths = http.field("paths");
    if paths.is_empty() {
        errors.required(&paths, "");
    }
    for path in paths.items() {
        self::path(&path, errors);
    }
}

fn host(host: &At<'_, '_>, errors: &mut Errors) {
    let wrong = match host.str().contains('*') {
        true => names::wildcard_subdomain(host.str()),
        false => names::dns1123_subdomain(host.str()),
    };
    errors.invalid_all(host, wrong);
}

fn path(path: &At<'_, '_>, errors: &mut Errors) {
    let (kind, at) = (path.field("pathType"), path.field("path"));
    if !kind.is_set() {
        errors.required(&kind, "pathType must be specified");
        return;
    }
    let text = at.str();
    match kind.str() {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.invalid_as(&at, text, "must be an absolute path");
            }
            for inside in WRONG_INSIDE.iter().filter(|inside| text.contains(**inside)) {
                errors.invalid(&at, format!("must not contain '{inside}'"));
            }
            for end in WRONG_END.iter().filter(|end| text.ends_with(**end)) {
                errors.invalid(&at, format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(&at, "must be an absolute path");
            }
        }
        _ => errors.not_supported(&kind, PATH_TYPES),
    }
    backend(&path.field("backend"), errors);
}

fn backend(backend: &At<'_, '_>, errors: &mut Errors) {
    let (resource, service) = (backend.field("resource"), backend.field("service"));
    match (resource.is_set(), service.is_set()) {
        (true, true) => {
            let detail = "cannot set both resource and service backends";
            errors.invalid_as(backend, "", detail);
        }
        (true, false) => reference(&resource, errors),
        (false, true) => self::service(backend, &service, errors),
        (false, false) => {
            errors.invalid_as(backend, "", "resource or service backend is required");
        }
    }
}

fn service(backend: &At<'_, '_>, service: &At<'_, '_>, errors: &mut Errors) {
    let name = service.field("name");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        errors.invalid_all(&name, names::dns1123_label(name.str()));
    }
    let port = service.field("port");
    let (name, number) = (port.field("name"), port.field("number"));
    match (name.str(), number.number()) {
        ("", 0) => errors.required(backend, "port name or number is required"),
        ("", n) => errors.invalid_all(&number, names::port_number(n)),
        (text, 0) => errors.invalid_all(&name, names::port_name(text)),
        _ => errors.invalid_as(backend, "", "cannot set both port name & port number"),
    }
}

/// A reference to an object of the same namespace: a group, a kind and a name.
pub(in crate::resources::networking) fn reference(at: &At<'_, '_>, errors: &mut Errors) {
    let group = at.field("apiGroup");
    if group.is_set() {
        errors.invalid_all(&group, names::dns1123_subdomain(group.str()));
    }
    for field in ["kind", "name"] {
        segment(&at.field(field), true, errors);
    }
}

/// A name that can stand in a path.
pub(in crate::resources::networking) fn segment(
    at: &At<'_, '_>,
    required: bool,
    errors: &mut Errors,
) {
    match at.value {
        Value::String(text) if !text.is_empty() => {
            errors.invalid_all(at, names::path_segment(text));
        }
        _ if required => errors.required(at, ""),
        _ => {}
    }
}
