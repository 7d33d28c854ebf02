//! What somebody may do, as a list: the answer to a SelfSubjectRulesReview. Must not decide: a list
//! is for people and tools to show.

use crate::resources::rbac::policy::PolicyRule;
use serde_json::{Value, json};

/// Rules that the authorizers know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// About resources.
    pub resources: Vec<PolicyRule>,
    /// About other paths.
    pub paths: Vec<PolicyRule>,
    /// Why there may be more that is allowed; empty if there is not.
    pub error: String,
}

impl Rules {
    /// Adds a rule to the list that it belongs to.
    pub fn add_rule(&mut self, rule: PolicyRule) {
        if rule.resources.is_empty() {
            self.paths.push(rule);
        } else {
            self.resources.push(rule);
        }
    }

    /// Adds what another authorizer knows.
    pub fn add(&mut self, other: Self) {
        self.resources.extend(other.resources);
        self.paths.extend(other.paths);
        if self.error.is_empty() {
            self.error = other.error;
        }
    }

    /// As the status of a review says it.
    pub fn to_status(&self) -> Value {
        let told = |rules: &[PolicyRule]| -> Vec<Value> {
            rules.iter().map(PolicyRule::to_value).collect()
        };
        let mut status = json!({
            "resourceRules": told(&self.resources),
            "nonResourceRules": told(&self.paths),
            "incomplete": false,
        });
        if let (false, Value::Object(status)) = (self.error.is_empty(), &mut status) {
            status.insert("evaluationError".to_owned(), json!(self.error));
        }
        status
    }
}
