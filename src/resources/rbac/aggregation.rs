//! What an aggregated ClusterRole allows: the rules of the roles that its selectors choose.
//! Kubernetes: `pkg/controller/clusterroleaggregation`.

use crate::meta::Object;
use crate::meta::labels::Selector;
use serde_json::Value;

/// The rules of a role that aggregates, out of all roles of the cluster in the order of their
/// names; `None` if it does not aggregate, or a selector of it says nothing that can be read.
pub fn aggregated(role: &Object, all: &[&Object]) -> Option<Vec<Value>> {
    let selectors = role.get(&["aggregationRule", "clusterRoleSelectors"])?;
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors.as_array()? {
        let selector = Selector::from_label_selector(Some(selector)).ok()?;
        let chosen = all
            .iter()
            .filter(|other| other.name() != role.name() && selector.matches_object(other));
        for other in chosen {
            let theirs = other.get(&["rules"]).and_then(Value::as_array);
            for rule in theirs.into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(name: &str, label: &str, rest: Value) -> Object {
        let mut role = json!({"metadata": {"name": name, "labels": {label: "true"}}}).to_owned();
        if let (Value::Object(role), Value::Object(rest)) = (&mut role, rest) {
            role.extend(rest);
        }
        Object::from_value(role).unwrap()
    }

    #[test]
    fn a_role_gathers_what_is_labelled_once_and_in_order() {
        let get = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let list = json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]});
        let all = [
            role("a", "into-view", json!({"rules": [get]})),
            role("b", "into-view", json!({"rules": [get, list]})),
            role("c", "other", json!({"rules": [list]})),
            role(
                "view",
                "into-view",
                json!({"rules": [], "aggregationRule": {"clusterRoleSelectors":
                    [{"matchLabels": {"into-view": "true"}}]}}),
            ),
        ];
        let all: Vec<&Object> = all.iter().collect();
        assert_eq!(aggregated(all[3], &all).unwrap(), [get, list]);
        assert_eq!(aggregated(all[0], &all), None);
    }
}
