//! Amounts of resources, as the scheduler counts them: CPU in thousandths, the rest in units.
//! Kubernetes: component-helpers `resource.PodRequests` and the scheduler's non-zero requests.

use crate::meta::quantity::Quantity;
use crate::sched::view::{PodSpecView, Quantities};
use std::collections::BTreeMap;

/// What a container without a CPU request counts as when nodes are compared (not when it is
/// decided whether it fits).
const DEFAULT_CPU_MILLIS: i64 = 100;
/// Likewise for memory: 200 MB.
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) others: BTreeMap<String, i64>,
}

impl Amounts {
    /// Reads what stands in an object; what is no quantity counts as nothing (validation has
    /// refused it before).
    pub(crate) fn read(quantities: &Quantities) -> Self {
        let mut amounts = Self::default();
        for (name, value) in quantities {
            let Ok(quantity) = Quantity::from_value(value) else {
                continue;
            };
            match name.as_str() {
                "cpu" => amounts.cpu_millis = quantity.millis(),
                "memory" => amounts.memory_bytes = quantity.value(),
                _ => {
                    amounts.others.insert(name.clone(), quantity.value());
                }
            }
        }
        amounts
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.saturating_add(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = own.saturating_add(*amount);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.saturating_sub(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.saturating_sub(other.memory_bytes);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = own.saturating_sub(*amount);
        }
    }

    fn raise_to(&mut self, other: &Self) {
        self.cpu_millis = self.cpu_millis.max(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }
}

/// What a pod asks for: its containers together, or its largest init container, whichever is more;
/// init containers that stay (sidecars) count beside both.
pub(crate) fn pod_requests(spec: &PodSpecView) -> Amounts {
    sum(spec, |amounts| amounts)
}

/// What a pod counts as when nodes are compared: a container that asks for nothing uses something.
pub(crate) fn pod_requests_nonzero(spec: &PodSpecView) -> Amounts {
    sum(spec, |mut amounts| {
        if amounts.cpu_millis == 0 {
            amounts.cpu_millis = DEFAULT_CPU_MILLIS;
        }
        if amounts.memory_bytes == 0 {
            amounts.memory_bytes = DEFAULT_MEMORY_BYTES;
        }
        amounts
    })
}

fn sum(spec: &PodSpecView, each: impl Fn(Amounts) -> Amounts) -> Amounts {
    let mut containers = Amounts::default();
    for container in &spec.containers {
        containers.add(&each(Amounts::read(&container.resources.requests)));
    }
    let mut sidecars = Amounts::default();
    let mut starting = Amounts::default();
    for container in &spec.init_containers {
        let mut own = each(Amounts::read(&container.resources.requests));
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&own);
            starting.raise_to(&sidecars);
        } else {
            own.add(&sidecars);
            starting.raise_to(&own);
        }
    }
    containers.add(&sidecars);
    containers.raise_to(&starting);
    containers.add(&Amounts::read(&spec.overhead));
    containers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn requests(spec: Value) -> (i64, i64) {
        let amounts = pod_requests(&serde_json::from_value(spec).unwrap());
        (amounts.cpu_millis, amounts.memory_bytes)
    }

    #[test]
    fn init_containers_count_as_kubernetes_counts_them() {
        let asks =
            |cpu: &str, memory: &str| json!({ "requests": { "cpu": cpu, "memory": memory } });
        let containers = json!([
            { "resources": asks("100m", "1Ki") },
            { "resources": asks("200m", "1Ki") },
        ]);
        assert_eq!(requests(json!({ "containers": containers })), (300, 2048));
        let big = json!([{ "resources": asks("1", "1Ki") }]);
        let spec = json!({ "containers": containers, "initContainers": big });
        assert_eq!(requests(spec), (1000, 2048));
        let sidecar = json!([
            { "resources": asks("50m", "0"), "restartPolicy": "Always" },
            { "resources": asks("300m", "0") },
        ]);
        let spec = json!({ "containers": containers, "initContainers": sidecar,
                           "overhead": { "cpu": "1m" } });
        assert_eq!(requests(spec), (351, 2048));
    }
}
