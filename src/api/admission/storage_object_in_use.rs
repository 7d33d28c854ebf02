//! Volumes and claims stay until nobody uses them: a finalizer says so, and a controller takes it away.
//! Kubernetes: admission plugin StorageObjectInUseProtection.

use super::{Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

/// What is protected, and by which finalizer.
const PROTECTED: &[(&str, &str)] = &[
    ("persistentvolumes", "kubernetes.io/pv-protection"),
    ("persistentvolumeclaims", "kubernetes.io/pvc-protection"),
];

pub(super) struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        for (resource, finalizer) in PROTECTED {
            if !request.creates("", resource) || object.finalizers().any(|own| own == *finalizer) {
                continue;
            }
            let mut finalizers: Vec<Value> = object.finalizers().map(Value::from).collect();
            finalizers.push(json!(finalizer));
            object.set(&["metadata", "finalizers"], Value::Array(finalizers));
        }
        Ok(())
    }
}
