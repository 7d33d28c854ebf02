//! What is allowed in a pod and is most likely a mistake. Must not refuse.
//! Kubernetes: `pkg/api/pod` GetWarningsForPod.

use crate::meta::quantity::Quantity;
use crate::resources::validate::At;
use serde_json::Value;
use std::collections::BTreeMap;

/// Texts for `Warning` headers about a pod spec.
pub(crate) fn of(spec: &At<'_, '_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for secret in spec.field("imagePullSecrets").items() {
        let name = secret.field("name");
        if name.str().is_empty() {
            warnings.push(format!("{}: invalid empty name {:?}", name.path(), ""));
        }
    }
    let grace = spec.field("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|n| n < 0) {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            grace.path()
        ));
    }
    for list in ["initContainers", "containers"] {
        let list = spec.field(list);
        for container in list.items() {
            environment(&container, &mut warnings);
            ports(&container, &mut warnings);
            fractions(&container, &mut warnings);
        }
    }
    warnings
}

fn environment(container: &At<'_, '_>, warnings: &mut Vec<String>) {
    let mut seen: Vec<&str> = Vec::new();
    for variable in container.field("env").items() {
        let name = variable.field("name").str();
        // Building on the former value is meant.
        let value = variable.field("value").str();
        if seen.contains(&name) && !value.contains(&format!("$({name})")) {
            warnings.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path()
            ));
        }
        seen.push(name);
    }
}

fn ports(container: &At<'_, '_>, warnings: &mut Vec<String>) {
    let mut seen: BTreeMap<(i64, &str, i64, &str), String> = BTreeMap::new();
    for port in container.field("ports").items() {
        let number = |name: &str| port.value.get(name).and_then(Value::as_i64).unwrap_or(0);
        let key = (
            number("containerPort"),
            port.field("protocol").str(),
            number("hostPort"),
            port.field("hostIP").str(),
        );
        let path = port.path();
        match seen.get(&key) {
            Some(first) => {
                warnings.push(format!("{path}: duplicate port definition with {first}"));
            }
            None => {
                seen.insert(key, path);
            }
        }
    }
}

fn fractions(container: &At<'_, '_>, warnings: &mut Vec<String>) {
    let resources = container.field("resources");
    for list in ["limits", "requests"] {
        let list = resources.field(list);
        for name in ["memory", "ephemeral-storage"] {
            let at = list.key(name);
            let amount = Quantity::from_value(at.value);
            if at.is_set() && amount.is_ok_and(|amount| !amount.is_integer()) {
                warnings.push(format!(
                    "{}: fractional byte value {:?} is invalid, must be an integer",
                    at.path(),
                    at.str()
                ));
            }
        }
    }
}
