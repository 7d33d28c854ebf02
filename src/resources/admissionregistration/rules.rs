//! Which requests a webhook or a policy is about. Must not know requests.
//! Kubernetes: `pkg/apis/admissionregistration/validation`.

use crate::meta::names;
use crate::resources::core::pod::defaults::{child, objects, set};
use crate::resources::validate::{At, Errors, selector};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
/// How exactly a request must match.
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
/// What becomes of a request when the question could not be answered.
pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
/// Most conditions.
const CONDITIONS_MAX: usize = 64;

/// Defaults of a list of rules.
pub(super) fn default_rules(of: &mut Map<String, Value>, list: &str) {
    for rule in objects(of, list) {
        set(rule, "scope", json!("*"));
    }
}

/// Defaults of what a policy or its binding is about.
pub(super) fn default_resources(resources: &mut Map<String, Value>) {
    set(resources, "matchPolicy", json!("Equivalent"));
    child(resources, "namespaceSelector");
    child(resources, "objectSelector");
    default_rules(resources, "resourceRules");
    default_rules(resources, "excludeResourceRules");
}

fn holds(list: &At<'_, '_>, text: &str) -> bool {
    list.values().any(|one| one == text)
}

/// Checks a rule with its operations.
pub(super) fn rule(rule: &At<'_, '_>, errors: &mut Errors) {
    let operations = rule.field("operations");
    if operations.is_empty() {
        errors.required(&operations, "");
    }
    if operations.len() > 1 && holds(&operations, "*") {
        let detail = "if '*' is present, must not specify other operations";
        errors.invalid(&operations, detail);
    }
    for operation in operations.items() {
        errors.one_of(&operation, OPERATIONS);
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.field(field);
        if list.is_empty() {
            errors.required(&list, "");
        }
        if list.len() > 1 && holds(&list, "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            errors.invalid(&list, detail);
        }
    }
    let versions = rule.field("apiVersions");
    for version in versions.items().filter(|one| one.str().is_empty()) {
        errors.required(&version, "");
    }
    resources(&rule.field("resources"), errors);
    let scope = rule.field("scope");
    if scope.is_set() {
        errors.one_of(&scope, SCOPES);
    }
}

fn resources(list: &At<'_, '_>, errors: &mut Errors) {
    if list.is_empty() {
        errors.required(list, "");
    }
    let (mut all_parts, mut every_resource) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for item in list.items() {
        let text = item.str();
        if text.is_empty() {
            errors.required(&item, "");
            continue;
        }
        let Some((resource, part)) = text.split_once('/') else {
            plain |= text != "*";
            continue;
        };
        if all_parts.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {text}");
            errors.invalid(&item, detail);
        }
        if every_resource.contains(part) {
            let detail = format!("if '*/{part}' is present, must not specify {text}");
            errors.invalid(&item, detail);
        }
        if part == "*" {
            all_parts.insert(resource);
        }
        if resource == "*" {
            every_resource.insert(part);
        }
    }
    if list.len() > 1 && holds(list, "*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.invalid(list, detail);
    }
    if plain && holds(list, "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(list, detail);
    }
}

/// Checks what a policy or its binding is about.
pub(super) fn match_resources(at: &At<'_, '_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let policy = at.field("matchPolicy");
    if policy.is_set() {
        errors.one_of(&policy, MATCH_POLICIES);
    } else {
        errors.required(&policy, "");
    }
    for field in ["namespaceSelector", "objectSelector"] {
        let field = at.field(field);
        if field.is_set() {
            selector::label_selector(&field, errors);
        } else {
            errors.required(&field, "");
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for one in at.field(list).items() {
            let names_of = one.field("resourceNames");
            let mut seen = BTreeSet::new();
            for name in names_of.items() {
                errors.invalid_all(&name, names::path_segment(name.str()));
                if !seen.insert(name.str()) {
                    errors.duplicate(&name);
                }
            }
            rule(&one, errors);
        }
    }
}

/// Checks conditions: a name and an expression each. Expressions are not compiled yet.
pub(super) fn conditions(list: &At<'_, '_>, errors: &mut Errors) {
    if list.len() > CONDITIONS_MAX {
        errors.too_many(list, CONDITIONS_MAX);
    }
    let mut seen = BTreeSet::new();
    for condition in list.items() {
        let (name, expression) = (condition.field("name"), condition.field("expression"));
        if expression.str().trim().is_empty() {
            errors.required(&expression, "");
        }
        if name.str().is_empty() {
            errors.required(&name, "");
            continue;
        }
        errors.invalid_all(&name, names::qualified_name(name.str()));
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
}
