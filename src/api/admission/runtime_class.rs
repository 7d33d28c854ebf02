//! A pod that names a RuntimeClass gets what the class says: its overhead and where it may run.
//! Kubernetes: admission plugin RuntimeClass.

use super::{Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Map, Value, json};

pub(super) struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let Some(class) = class_of(request, pod)? else {
            return Ok(());
        };
        if let Some(overhead) = class.get(&["overhead", "podFixed"]) {
            let own = pod.get(&["spec", "overhead"]);
            if own.is_some_and(|own| own != overhead) {
                let why =
                    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
                return Err(request.forbidden(pod, why));
            }
            pod.set(&["spec", "overhead"], overhead.clone());
        }
        let selector = class.get(&["scheduling", "nodeSelector"]);
        if let Some(selector) = selector.and_then(Value::as_object) {
            select(request, pod, selector)?;
        }
        let tolerations = class.get(&["scheduling", "tolerations"]);
        if let Some(added) = tolerations.and_then(Value::as_array) {
            let own = pod.get(&["spec", "tolerations"]).and_then(Value::as_array);
            let mut all = own.cloned().unwrap_or_default();
            for toleration in added {
                if !all.contains(toleration) {
                    all.push(toleration.clone());
                }
            }
            pod.set(&["spec", "tolerations"], Value::Array(all));
        }
        Ok(())
    }

    fn validate(
        &self,
        request: &Request<'_>,
        pod: &Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if !request.creates("", "pods") || pod.get(&["spec", "overhead"]).is_none() {
            return Ok(());
        }
        let class = class_of(request, pod)?;
        let fixed = class
            .as_ref()
            .and_then(|class| class.get(&["overhead", "podFixed"]));
        if fixed.is_none() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(request.forbidden(pod, why));
        }
        Ok(())
    }
}

/// The class that a new pod names.
fn class_of(request: &Request<'_>, pod: &Object) -> Result<Option<Object>, ApiError> {
    let name = pod.str_at(&["spec", "runtimeClassName"]);
    if name.is_empty() || !request.creates("", "pods") {
        return Ok(None);
    }
    let found = request.find("node.k8s.io", "runtimeclasses", "", name)?;
    let missing = || {
        let why = format!("pod rejected: RuntimeClass {name:?} not found");
        request.forbidden(pod, &why)
    };
    found.map(Some).ok_or_else(missing)
}

/// The pod runs only where the class runs.
fn select(
    request: &Request<'_>,
    pod: &mut Object,
    selector: &Map<String, Value>,
) -> Result<(), ApiError> {
    let own = pod
        .get(&["spec", "nodeSelector"])
        .and_then(Value::as_object);
    let mut all = own.cloned().unwrap_or_default();
    for (key, value) in selector {
        if let Some(own) = all.get(key).filter(|own| *own != value) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; \
                 pod.spec.nodeSelector[{key}] = {}",
                text(value),
                text(own)
            );
            return Err(request.forbidden(pod, &why));
        }
        all.insert(key.clone(), value.clone());
    }
    pod.set(&["spec", "nodeSelector"], json!(all));
    Ok(())
}
