//! What the policies and their bindings share: defaults, checks, rows. Must not decide anything;
//! expressions are stored as they are and not compiled yet.
//! Kubernetes: `pkg/apis/admissionregistration/{v1,validation}`.

use super::rules;
use crate::meta::cel::is_reserved;
use crate::meta::{Object, names};
use crate::resources::columns;
use crate::resources::core::pod::defaults::{child, set};
use crate::resources::def::Column;
use crate::resources::template;
use crate::resources::validate::{At, Errors, selector};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const BINDING_COLUMNS: &[Column] = &[
    columns::name_column(),
    Column::new("PolicyName", "The policy that is bound."),
    Column::new("ParamRef", "Its parameters."),
    columns::age_column(),
];

const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

/// Defaults of a policy.
pub(super) fn default_policy(policy: &mut Object) {
    if let Some(spec) = child(policy.fields_mut(), "spec") {
        set(spec, "failurePolicy", json!("Fail"));
        if let Some(Value::Object(constraints)) = spec.get_mut("matchConstraints") {
            rules::default_resources(constraints);
        }
    }
}

/// Defaults of a binding.
pub(super) fn default_binding(binding: &mut Object) {
    if let Some(spec) = child(binding.fields_mut(), "spec")
        && let Some(Value::Object(resources)) = spec.get_mut("matchResources")
    {
        rules::default_resources(resources);
    }
}

/// Checks what both kinds of policies have, before what is their own.
pub(super) fn common(spec: &At<'_, '_>, errors: &mut Errors) {
    let failure = spec.field("failurePolicy");
    if failure.is_set() {
        errors.one_of(&failure, rules::FAILURE_POLICIES);
    } else {
        errors.required(&failure, "");
    }
    param_kind(&spec.field("paramKind"), errors);
    let constraints = spec.field("matchConstraints");
    if constraints.is_set() {
        rules::match_resources(&constraints, errors);
        let list = constraints.field("resourceRules");
        if list.is_empty() {
            errors.required(&list, "");
        }
    } else {
        errors.required(&constraints, "");
    }
    rules::conditions(&spec.field("matchConditions"), errors);
    for variable in spec.field("variables").items() {
        let (name, expression) = (variable.field("name"), variable.field("expression"));
        if name.str().trim().is_empty() {
            errors.required(&name, "name is not specified");
        } else if !is_identifier(name.str()) {
            errors.invalid(&name, "name is not a valid CEL identifier");
        }
        expression_given(&expression, "expression is not specified", errors);
    }
}

/// Checks that an expression is there.
pub(super) fn expression_given(at: &At<'_, '_>, detail: &str, errors: &mut Errors) {
    if at.str().trim().is_empty() {
        errors.required(at, detail);
    }
}

fn is_identifier(name: &str) -> bool {
    let mut letters = name.bytes();
    let start = letters.next();
    start.is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && letters.all(|b| b == b'_' || b.is_ascii_alphanumeric())
        && !is_reserved(name)
}

fn param_kind(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (version, kind) = (at.field("apiVersion"), at.field("kind"));
    let text = version.str();
    match text.split('/').collect::<Vec<_>>().as_slice() {
        _ if text.is_empty() => errors.required(&version, ""),
        [name] => param_version("", name, &version, errors),
        [group, name] => param_version(group, name, &version, errors),
        _ => {
            let detail = format!("unexpected GroupVersion string: {text}");
            errors.invalid(&version, detail);
        }
    }
    if kind.str().is_empty() {
        errors.required(&kind, "");
        return;
    }
    let wrong = names::dns1035_label(&kind.str().to_lowercase());
    if !wrong.is_empty() {
        let why = wrong.join(",");
        let detail = format!("may have mixed case, but should otherwise match: {why}");
        errors.invalid(&kind, detail);
    }
}

fn param_version(group: &str, version: &str, at: &At<'_, '_>, errors: &mut Errors) {
    let wrong = names::dns1123_subdomain(group);
    if !group.is_empty() && !wrong.is_empty() {
        errors.invalid_as(at, group, wrong.join(","));
    }
    if version.is_empty() {
        errors.invalid(at, "version must be specified");
        return;
    }
    let wrong = names::dns1035_label(version);
    if !wrong.is_empty() {
        errors.invalid_as(at, version, wrong.join(","));
    }
}

/// Checks a binding.
pub(super) fn binding(spec: &At<'_, '_>, errors: &mut Errors) {
    let policy = spec.field("policyName");
    if policy.str().is_empty() {
        errors.required(&policy, "");
    } else {
        errors.invalid_all(&policy, names::dns1123_subdomain(policy.str()));
    }
    param_ref(&spec.field("paramRef"), errors);
    rules::match_resources(&spec.field("matchResources"), errors);
}

fn param_ref(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (name, wanted) = (at.field("name"), at.field("selector"));
    let named = !name.str().is_empty();
    let both = "name and selector are mutually exclusive";
    if named {
        errors.invalid_all(&name, names::path_segment(name.str()));
        if wanted.is_set() {
            errors.forbidden(&name, both);
        }
    }
    if wanted.is_set() {
        selector::label_selector(&wanted, errors);
        if named {
            errors.forbidden(&wanted, both);
        }
    } else if !named {
        errors.required(at, "one of name or selector must be specified");
    }
    let missing = at.field("parameterNotFoundAction");
    if missing.str().is_empty() {
        errors.required(&missing, "");
    } else {
        errors.one_of(&missing, &["Deny", "Allow"]);
    }
}

/// Checks what a failed validation does.
pub(super) fn actions(list: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for action in list.items() {
        errors.one_of(&action, ACTIONS);
        if !seen.insert(action.str()) {
            errors.duplicate(&action);
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure \
                      information in the API response and headers serves no purpose)";
        errors.invalid(list, detail);
    }
    if seen.is_empty() {
        errors.required(list, "at least one validation action is required");
    }
}

/// The row of a policy; `list` is what it is counted by.
pub(super) fn row(policy: &Object, list: &str, now: Timestamp) -> Vec<Value> {
    let spec = At::of(policy, "spec");
    let kind = spec.field("paramKind");
    let kind = if kind.is_set() {
        let (version, kind) = (kind.field("apiVersion").str(), kind.field("kind").str());
        format!("{version}/{kind}")
    } else {
        "<unset>".to_owned()
    };
    vec![
        json!(policy.name()),
        json!(spec.field(list).len()),
        json!(kind),
        columns::age(policy, now),
    ]
}

pub(super) fn binding_row(binding: &Object, now: Timestamp) -> Vec<Value> {
    let spec = At::of(binding, "spec");
    let param = spec.field("paramRef");
    let (namespace, name) = (param.field("namespace").str(), param.field("name").str());
    let wanted = param.field("selector");
    let cell = match (namespace, name) {
        _ if !param.is_set() => "<unset>".to_owned(),
        (_, "") => template::selector_cell(wanted.value),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        json!(binding.name()),
        json!(spec.field("policyName").str()),
        json!(cell),
        columns::age(binding, now),
    ]
}
