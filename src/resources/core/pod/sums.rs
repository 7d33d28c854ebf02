//! What a pod asks for in all. Must not know what for it is asked: limits of a namespace and its quota
//! both do.
//! Kubernetes: component-helpers `resource.PodRequests` and `PodLimits`, from the spec alone.

use crate::meta::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// Which of both is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `resources.requests`.
    Requests,
    /// `resources.limits`.
    Limits,
}

impl Side {
    fn field(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

/// The amounts of a map such as `resources.requests`; what is no amount is left out.
pub fn amounts(map: Option<&Value>) -> Amounts {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    let read =
        entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?)));
    read.collect()
}

/// What a container asks for.
pub fn of_container(container: &Value, side: Side) -> Amounts {
    let resources = container.get("resources");
    amounts(resources.and_then(|resources| resources.get(side.field())))
}

/// What a pod asks for, without its overhead: all containers together, or what the largest init
/// container needs beside the sidecars before it, if that is more.
pub fn of_pod(spec: &Value, side: Side) -> Amounts {
    let list = |name: &str| {
        spec.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut sum = Amounts::new();
    for container in list("containers") {
        add(&mut sum, &of_container(container, side));
    }
    let mut sidecars = Amounts::new();
    let mut largest = Amounts::new();
    for container in list("initContainers") {
        let mut own = of_container(container, side);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        raise(&mut largest, &own);
    }
    raise(&mut sum, &largest);
    // What the pod asks for as a whole takes the place of what its containers do.
    let whole = spec
        .get("resources")
        .and_then(|resources| resources.get(side.field()));
    for (name, amount) in amounts(whole) {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            sum.insert(name, amount);
        }
    }
    sum
}

/// Adds to each amount.
pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match to.get_mut(name) {
            Some(own) => *own = own.plus(amount),
            None => {
                to.insert(name.clone(), *amount);
            }
        }
    }
}

/// The greater of each two amounts.
fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if to.get(name).is_none_or(|own| amount > own) {
            to.insert(name.clone(), *amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sidecars_add_and_the_largest_init_container_counts() {
        let asks = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let spec = json!({
            "containers": [{"resources": asks("100m")}, {"resources": asks("200m")}, {}],
            "initContainers": [
                {"resources": asks("1")},
                {"restartPolicy": "Always", "resources": asks("300m")},
                {"resources": asks("800m")},
            ],
        });
        let cpu = |spec: &Value| of_pod(spec, Side::Requests)["cpu"].to_string();
        assert_eq!(cpu(&spec), "1100m");
        let mut whole = spec.clone();
        whole["resources"] = asks("2");
        assert_eq!(cpu(&whole), "2");
        assert!(of_pod(&spec, Side::Limits).is_empty());
    }
}
