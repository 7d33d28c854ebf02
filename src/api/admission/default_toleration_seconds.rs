//! A pod tolerates a node that is not ready or not reachable for five minutes, unless it says
//! otherwise.
//! Kubernetes: admission plugin DefaultTolerationSeconds.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

/// How long, in seconds.
const TOLERATION_SECONDS: i64 = 300;
const TAINTS: &[&str] = &[
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

pub(super) struct DefaultTolerationSeconds;

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.is_main("", "pods") || request.operation == Operation::Delete {
            return Ok(());
        }
        let present = pod.get(&["spec", "tolerations"]);
        let mut list = present
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let before = list.len();
        for taint in TAINTS {
            if !list.iter().any(|toleration| tolerates(toleration, taint)) {
                list.push(json!({
                    "key": taint,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": TOLERATION_SECONDS,
                }));
            }
        }
        if list.len() > before {
            pod.set(&["spec", "tolerations"], Value::Array(list));
        }
        Ok(())
    }
}

fn tolerates(toleration: &Value, taint: &str) -> bool {
    let is = |field: &str, wanted: &str| {
        let text = toleration
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.is_empty() || text == wanted
    };
    is("key", taint) && is("effect", "NoExecute")
}
