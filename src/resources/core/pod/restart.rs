//! When a container runs again, and what a resize of it restarts. Must not restart.
//! Kubernetes: `pkg/apis/core/validation` validateContainerRestartPolicy, validateResizePolicy.

use crate::resources::validate::{At, Errors};
use std::collections::BTreeSet;

/// Most rules of a container.
const RULES_MAX: usize = 20;
/// Most exit codes of a rule.
const CODES_MAX: usize = 255;

/// Checks `restartPolicy` and `restartPolicyRules` of a container.
pub(super) fn validate(container: &At<'_, '_>, errors: &mut Errors) {
    let (policy, rules) = (
        container.field("restartPolicy"),
        container.field("restartPolicyRules"),
    );
    if policy.is_set() {
        errors.one_of(&policy, &["Always", "Never", "OnFailure"]);
    } else if !rules.is_empty() {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.required(&policy, detail);
    }
    if rules.len() > RULES_MAX {
        errors.too_many(&rules, RULES_MAX);
    }
    for rule in rules.items() {
        let action = rule.field("action");
        errors.one_of(&action, &["Restart", "RestartAllContainers"]);
        let codes = rule.field("exitCodes");
        if !codes.is_set() {
            errors.required(&codes, "must be specified");
            continue;
        }
        errors.one_of(&codes.field("operator"), &["In", "NotIn"]);
        if codes.field("values").len() > CODES_MAX {
            errors.too_many(&codes.field("values"), CODES_MAX);
        }
    }
}

/// Checks `resizePolicy`. Kubernetes' paths do not say which of them is wrong.
pub(super) fn resize(list: &At<'_, '_>, spec: &At<'_, '_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for policy in list.items() {
        let (name, restart) = (policy.field("resourceName"), policy.field("restartPolicy"));
        if !seen.insert(name.str()) {
            errors.duplicate_as(&policy, name.str());
        }
        for (field, supported) in [
            (name, ["cpu", "memory"]),
            (restart, ["NotRequired", "RestartContainer"]),
        ] {
            let path = list.path();
            let at = At::root(field.value, &path);
            if at.str().is_empty() {
                errors.required(&at, "");
            } else {
                errors.one_of(&at, &supported);
            }
        }
        if spec.field("restartPolicy").str() == "Never" && restart.str() != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.invalid_as(list, restart.str(), detail);
        }
    }
}
