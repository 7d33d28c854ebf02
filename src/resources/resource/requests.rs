//! What a claim asks for: requests, constraints, configuration. Expressions are not compiled.
//! Kubernetes: `pkg/apis/resource/{v1,validation}`.

use crate::meta::names;
use crate::resources::core::persistent_volume_source::driver;
use crate::resources::core::pod::defaults::{objects, set, set_zero};
use crate::resources::validate::{At, Errors};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most requests, constraints, configurations and selectors of one object.
const LIST_MAX: usize = 32;
/// Most alternatives of a request.
const ALTERNATIVES_MAX: usize = 8;
/// Longest expression (bytes).
const EXPRESSION_MAX_BYTES: usize = 10 * 1024;

/// Defaults of the requests in the spec of a claim.
pub(super) fn default(spec: &mut Map<String, Value>) {
    let Some(Value::Object(devices)) = spec.get_mut("devices") else {
        return;
    };
    for request in objects(devices, "requests") {
        if let Some(Value::Object(exactly)) = request.get_mut("exactly") {
            default_request(exactly);
        }
        objects(request, "firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Map<String, Value>) {
    set(request, "allocationMode", json!("ExactCount"));
    if request.get("allocationMode") == Some(&json!("ExactCount")) {
        set_zero(request, "count", json!(1));
    }
    for toleration in objects(request, "tolerations") {
        set(toleration, "operator", json!("Equal"));
    }
}

/// Checks the spec of a claim.
pub(super) fn validate(spec: &At<'_, '_>, errors: &mut Errors) {
    let devices = spec.field("devices");
    let (requests, constraints, config) = (
        devices.field("requests"),
        devices.field("constraints"),
        devices.field("config"),
    );
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    at_most(&requests, LIST_MAX, errors);
    for request in requests.items() {
        let name = request.field("name");
        self::request(&request, errors);
        if known.contains_key(name.str()) && !name.str().is_empty() {
            errors.duplicate(&name);
        }
        let parts = request.field("firstAvailable");
        let parts = parts.values().filter_map(|one| one.get("name")?.as_str());
        known.insert(name.str(), parts.collect());
    }
    at_most(&constraints, LIST_MAX, errors);
    for constraint in constraints.items() {
        references(&constraint.field("requests"), &known, errors);
        let own = ["matchAttribute", "distinctAttribute"].map(|field| constraint.field(field));
        if let Some(at) = own.iter().find(|at| at.is_set()) {
            full_name(at, errors);
        } else {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, \
                          but multiple fields are set";
            errors.required(&constraint, detail);
        }
    }
    at_most(&config, LIST_MAX, errors);
    for one in config.items() {
        references(&one.field("requests"), &known, errors);
        opaque(&one, errors);
    }
}

fn at_most(list: &At<'_, '_>, max: usize, errors: &mut Errors) {
    if list.len() > max {
        errors.too_many(list, max);
    }
}

fn request(request: &At<'_, '_>, errors: &mut Errors) {
    let name = request.field("name");
    label(&name, errors);
    let (exactly, first) = (request.field("exactly"), request.field("firstAvailable"));
    match (exactly.is_set(), !first.is_empty()) {
        (false, false) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required";
            errors.required(request, detail);
        }
        (true, true) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple \
                          fields are set";
            errors.invalid_as(request, Value::Null, detail);
        }
        (true, false) => exact(&exactly, errors),
        (false, true) => {
            at_most(&first, ALTERNATIVES_MAX, errors);
            let mut seen = BTreeSet::new();
            for one in first.items() {
                label(&one.field("name"), errors);
                exact(&one, errors);
                if !seen.insert(one.field("name").str()) {
                    errors.duplicate(&one.field("name"));
                }
            }
        }
    }
}

/// A name that must be a label of DNS, and be there.
pub(super) fn label(at: &At<'_, '_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    } else {
        errors.invalid_all(at, names::dns1123_label(at.str()));
    }
}

fn exact(request: &At<'_, '_>, errors: &mut Errors) {
    let class = request.field("deviceClassName");
    if class.str().is_empty() {
        errors.required(&class, "");
    } else {
        errors.invalid_all(&class, names::dns1123_subdomain(class.str()));
    }
    selectors(&request.field("selectors"), errors);
    let (mode, count) = (request.field("allocationMode"), request.field("count"));
    match mode.str() {
        "All" if count.number() != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.invalid(&count, detail);
        }
        "ExactCount" if count.number() <= 0 => {
            errors.invalid_as(&count, count.number(), "must be greater than zero");
        }
        "All" | "ExactCount" => {}
        _ => errors.not_supported(&mode, &["All", "ExactCount"]),
    }
    for toleration in request.field("tolerations").items() {
        self::toleration(&toleration, errors);
    }
}

/// Checks selectors: an expression each.
pub(super) fn selectors(list: &At<'_, '_>, errors: &mut Errors) {
    at_most(list, LIST_MAX, errors);
    for selector in list.items() {
        let cel = selector.field("cel");
        if !cel.is_set() {
            errors.required(&cel, "");
            continue;
        }
        let expression = cel.field("expression");
        if expression.str().len() > EXPRESSION_MAX_BYTES {
            errors.too_long(&expression, EXPRESSION_MAX_BYTES);
        }
    }
}

fn toleration(at: &At<'_, '_>, errors: &mut Errors) {
    let (key, operator) = (at.field("key"), at.field("operator"));
    if !key.str().is_empty() {
        errors.invalid_all(&key, names::qualified_name(key.str()));
    }
    match operator.str() {
        "Exists" if !at.field("value").str().is_empty() => {
            let value = at.field("value");
            errors.invalid(&value, "must be empty for operator `Exists`");
        }
        "Equal" if key.str().is_empty() => {
            errors.required(&key, "must not be empty for operator `Equal`");
        }
        "Exists" | "Equal" => {}
        _ => errors.not_supported(&operator, &["Equal", "Exists"]),
    }
    let effect = at.field("effect");
    if effect.is_set() && !effect.str().is_empty() {
        errors.one_of(&effect, &["NoExecute", "NoSchedule", "None"]);
    }
}

fn references(list: &At<'_, '_>, known: &BTreeMap<&str, BTreeSet<&str>>, errors: &mut Errors) {
    at_most(list, LIST_MAX, errors);
    let mut seen = BTreeSet::new();
    for reference in list.items() {
        let text = reference.str();
        let (name, part) = match text.split_once('/') {
            Some((name, part)) => (name, Some(part)),
            None => (text, None),
        };
        let parts = known.get(name);
        let found = parts.is_some_and(|parts| part.is_none_or(|part| parts.contains(part)));
        if !found {
            let detail = "must be the name of a request in the claim or the name of a request and \
                          a subrequest separated by '/'";
            errors.invalid(&reference, detail);
        }
        if !seen.insert(text) {
            errors.duplicate(&reference);
        }
    }
}

/// A domain, a slash and a name.
fn full_name(at: &At<'_, '_>, errors: &mut Errors) {
    match at.str().split_once('/') {
        _ if at.str().is_empty() => errors.required(at, "name required"),
        Some((domain, _)) => errors.invalid_all(at, names::dns1123_subdomain(domain)),
        None => errors.invalid(at, "must include a domain"),
    }
}

/// Checks configuration that is handed to a driver as it is.
pub(super) fn opaque(config: &At<'_, '_>, errors: &mut Errors) {
    let opaque = config.field("opaque");
    if !opaque.is_set() {
        errors.required(&opaque, "");
        return;
    }
    driver(&opaque.field("driver"), errors);
    let parameters = opaque.field("parameters");
    match parameters.value {
        Value::Null => errors.required(&parameters, ""),
        Value::Object(_) => {}
        _ => errors.invalid_omitted(&parameters, "must be a valid JSON object"),
    }
}
