//! A pod's priority class becomes a number. PriorityClasses are not kinds of this server yet, so the
//! two that every cluster has are known here, and another name is refused.
//! Kubernetes: admission plugin Priority.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::json;

/// Kubernetes' own classes.
const SYSTEM_CLASSES: &[(&str, i64)] = &[
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

pub(super) struct Priority;

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.is_main("", "pods") {
            return Ok(());
        }
        if let Some(old) = old {
            // What was worked out at the start stays, whatever an update leaves out.
            for field in ["priority", "preemptionPolicy"] {
                if pod.get(&["spec", field]).is_none()
                    && let Some(value) = old.get(&["spec", field])
                {
                    pod.set(&["spec", field], value.clone());
                }
            }
            return Ok(());
        }
        if request.operation != Operation::Create {
            return Ok(());
        }
        let class = pod.str_at(&["spec", "priorityClassName"]).to_owned();
        let forbidden = |why: &str| {
            let of = request.target.def.group_resource();
            Err(ApiError::forbidden(&of, pod.name(), why))
        };
        let priority = match SYSTEM_CLASSES.iter().find(|(name, _)| *name == class) {
            Some((_, priority)) => *priority,
            None if class.is_empty() => 0,
            None => {
                return forbidden(&format!("no PriorityClass with name {class} was found"));
            }
        };
        let asked = pod
            .get(&["spec", "priority"])
            .and_then(serde_json::Value::as_i64);
        if asked.is_some_and(|asked| asked != priority) {
            return forbidden(
                "the integer value of priority must not be provided in pod spec; priority \
                 admission controller computed the value from the given PriorityClass name",
            );
        }
        pod.set(&["spec", "priority"], json!(priority));
        if pod.get(&["spec", "preemptionPolicy"]).is_none() {
            pod.set(&["spec", "preemptionPolicy"], json!("PreemptLowerPriority"));
        }
        Ok(())
    }
}
