//! The rules of a role: which verbs on what. Must not decide about requests.
//! Kubernetes: `pkg/apis/rbac/validation` validatePolicyRule.

use crate::meta::Object;
use crate::resources::validate::{At, Errors};

/// Checks the rules of a role; a role in a namespace has none about URLs.
pub(super) fn validate(role: &Object, namespaced: bool, errors: &mut Errors) {
    for rule in At::of(role, "rules").items() {
        if rule.field("verbs").is_empty() {
            let detail = "verbs must contain at least one value";
            errors.required(&rule.field("verbs"), detail);
        }
        let urls = rule.field("nonResourceURLs");
        let (groups, resources) = (rule.field("apiGroups"), rule.field("resources"));
        let names = rule.field("resourceNames");
        if !urls.is_empty() {
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.invalid(&urls, detail);
            }
            if !groups.is_empty() || !resources.is_empty() || !names.is_empty() {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&urls, detail);
            }
            continue;
        }
        if groups.is_empty() {
            errors.required(&groups, "resource rules must supply at least one api group");
        }
        if resources.is_empty() {
            let detail = "resource rules must supply at least one resource";
            errors.required(&resources, detail);
        }
        if !names.is_empty() && resources.len() > 1 {
            let detail = "resource names cannot apply to multiple resources";
            errors.required(&names, detail);
        }
    }
}
