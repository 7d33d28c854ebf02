//! Probes and lifecycle hooks: what asks a container, and when. Must not ask.
//! Kubernetes: `pkg/apis/core/validation` validateProbe, validateHandler.

use crate::meta::names;
use crate::resources::validate::{At, Errors};
use serde_json::Value;

/// The actions of a handler, in Kubernetes' order.
const ACTIONS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// A liveness or startup probe: one success is success.
pub(super) fn liveness(probe: &At<'_, '_>, grace: Option<i64>, errors: &mut Errors) {
    if !probe.is_set() {
        return;
    }
    common(probe, grace, errors);
    let success = probe.field("successThreshold");
    if success.number() != 1 {
        errors.invalid_as(&success, success.number(), "must be 1");
    }
}

/// A readiness probe: it ends nothing, so it has no grace period.
pub(super) fn readiness(probe: &At<'_, '_>, grace: Option<i64>, errors: &mut Errors) {
    if !probe.is_set() {
        return;
    }
    common(probe, grace, errors);
    let own = probe.field("terminationGracePeriodSeconds");
    if own.is_set() {
        errors.invalid(&own, "must not be set for readinessProbes");
    }
}

fn common(probe: &At<'_, '_>, grace: Option<i64>, errors: &mut Errors) {
    handler(probe, grace, errors);
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        errors.not_negative(&probe.field(field));
    }
    let own = probe.field("terminationGracePeriodSeconds");
    if own.int().is_some_and(|n| n <= 0) {
        errors.invalid(&own, "must be greater than 0");
    }
}

/// The action of a probe or a hook: exactly one.
pub(super) fn handler(at: &At<'_, '_>, grace: Option<i64>, errors: &mut Errors) {
    let mut found = 0;
    for action in ACTIONS {
        let action = at.field(action);
        if !action.is_set() {
            continue;
        }
        if found > 0 {
            errors.forbidden(&action, "may not specify more than 1 handler type");
        } else {
            act(&action, grace, errors);
        }
        found += 1;
    }
    if found == 0 {
        errors.required(at, "must specify a handler type");
    }
}

fn act(action: &At<'_, '_>, grace: Option<i64>, errors: &mut Errors) {
    let path = action.path();
    match path.rsplit('.').next().unwrap_or_default() {
        "exec" => {
            if action.field("command").is_empty() {
                errors.required(&action.field("command"), "");
            }
        }
        "httpGet" => http_get(action, errors),
        "tcpSocket" => port(&action.field("port"), errors),
        "grpc" => {
            let number = action.field("port");
            for detail in names::port_number(number.number()) {
                errors.invalid_as(&number, number.number(), detail);
            }
        }
        _ => {
            let seconds = action.field("seconds").number();
            // A grace period that is missing is told elsewhere.
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let detail = format!(
                    "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                );
                errors.invalid_as(action, seconds, detail);
            }
        }
    }
}

fn http_get(action: &At<'_, '_>, errors: &mut Errors) {
    if action.field("path").str().is_empty() {
        errors.required(&action.field("path"), "");
    }
    port(&action.field("port"), errors);
    errors.one_of(&action.field("scheme"), &["HTTP", "HTTPS"]);
    let headers = action.field("httpHeaders");
    for header in headers.items() {
        let name = header.field("name").str();
        for detail in names::http_header_name(name) {
            errors.invalid_as(&headers, name, detail);
        }
    }
}

/// A port by number or by name; one that is not given is 0.
pub(crate) fn port(at: &At<'_, '_>, errors: &mut Errors) {
    match at.value {
        Value::String(name) => errors.invalid_all(at, names::port_name(name)),
        _ => {
            for detail in names::port_number(at.number()) {
                errors.invalid_as(at, at.number(), detail);
            }
        }
    }
}
