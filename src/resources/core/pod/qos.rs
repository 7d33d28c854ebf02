//! The quality of service class of a pod: who is evicted first. Must not know eviction.
//! Kubernetes: `pkg/apis/core/helper/qos`.

use crate::meta::quantity::Quantity;
use serde_json::Value;

/// `Guaranteed`, `Burstable` or `BestEffort`, from the amounts that containers ask for.
pub fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"].into_iter();
    let containers = lists
        .filter_map(|list| spec.get(list)?.as_array())
        .flatten();
    let (mut any, mut all) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let request = amount(container, "requests", resource);
            let limit = amount(container, "limits", resource);
            any |= request.is_some() || limit.is_some();
            all &= match (limit, request) {
                (Some(limit), Some(request)) => limit == request,
                (Some(_), None) => true,
                (None, _) => false,
            };
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// An amount above zero.
fn amount(container: &Value, list: &str, resource: &str) -> Option<Quantity> {
    let value = container.get("resources")?.get(list)?.get(resource)?;
    let amount = Quantity::from_value(value).ok()?;
    (!amount.is_zero()).then_some(amount)
}
