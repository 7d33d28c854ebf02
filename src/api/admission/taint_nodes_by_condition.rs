//! A new node takes no pods before it is known to be ready: the taint says so until the node
//! lifecycle controller takes it off. A node that says at its creation that it is ready, as wkube's
//! own do, needs no taint to be taken off again.
//! Kubernetes: admission plugin TaintNodesByCondition, which taints every node.

use super::{Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.creates("", "nodes") || is_ready(object) {
            return Ok(());
        }
        let taints = object.get(&["spec", "taints"]).and_then(Value::as_array);
        let mut taints = taints.cloned().unwrap_or_default();
        let is_it = |taint: &Value| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule";
        if !taints.iter().any(is_it) {
            taints.push(json!({ "key": NOT_READY, "effect": "NoSchedule" }));
            object.set(&["spec", "taints"], Value::Array(taints));
        }
        Ok(())
    }
}

fn is_ready(node: &Object) -> bool {
    let conditions = node.get(&["status", "conditions"]);
    let conditions = conditions.and_then(Value::as_array);
    let is_it = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|all| all.iter().any(is_it))
}
