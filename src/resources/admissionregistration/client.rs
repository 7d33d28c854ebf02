//! How a webhook is reached: a URL or a Service. Must not reach it.
//! Kubernetes: apiserver `util/webhook` validation.

use crate::meta::names;
use crate::resources::validate::{At, Errors};

const FORM: &str = "; desired format: https://host[/path]";

/// Checks exactly one of `url` and `service`.
pub(crate) fn validate(config: &At<'_, '_>, errors: &mut Errors) {
    let (url, service) = (config.field("url"), config.field("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => self::url(&url, errors),
        (false, true) => self::service(&service, errors),
        _ => errors.required(config, "exactly one of url or service is required"),
    }
}

fn url(at: &At<'_, '_>, errors: &mut Errors) {
    let text = at.str();
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = text.split_once("://").unwrap_or(("", ""));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.invalid_as(at, scheme, detail);
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() {
        errors.invalid_as(at, host, format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        let detail = "user information is not permitted in the URL";
        errors.invalid_as(at, user, detail);
    }
    if !fragment.is_empty() {
        let detail = "fragments are not permitted in the URL";
        errors.invalid_as(at, fragment, detail);
    }
    if !query.is_empty() {
        let detail = "query parameters are not permitted in the URL";
        errors.invalid_as(at, query, detail);
    }
}

fn service(at: &At<'_, '_>, errors: &mut Errors) {
    for field in ["name", "namespace"] {
        if at.field(field).str().is_empty() {
            errors.required(&at.field(field), "");
        }
    }
    let port = at.field("port");
    let wrong = names::port_number(port.number());
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        errors.invalid_as(&port, port.number(), detail);
    }
    path(&at.field("path"), errors);
}

fn path(at: &At<'_, '_>, errors: &mut Errors) {
    let text = at.str();
    if matches!(text, "" | "/") {
        return;
    }
    if text == "//" {
        errors.invalid(at, "segment[0] may not be empty");
        return;
    }
    if !text.starts_with('/') {
        errors.invalid(at, "must start with a '/'");
    }
    let inner = text.get(1..).unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (index, step) in inner.split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(at, format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in names::dns1123_subdomain(step) {
            errors.invalid(at, format!("segment[{index}]: {why}"));
        }
    }
}
