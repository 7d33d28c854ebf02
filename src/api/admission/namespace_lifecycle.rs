//! Nothing is made in a namespace that is not there or that is going, and the namespaces that a
//! cluster cannot be without are not deleted.
//! Kubernetes: admission plugin NamespaceLifecycle.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

/// Namespaces that stay.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub(super) struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        object: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        if request.operation == Operation::Create && request.target.def.is_namespaced() {
            check(request, object)?;
        }
        Ok(())
    }

    fn validate(
        &self,
        request: &Request<'_>,
        object: &Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        let immortal = request.operation == Operation::Delete
            && request.is_main("", "namespaces")
            && IMMORTAL.contains(&object.name());
        if immortal {
            return Err(ApiError::forbidden(
                &request.target.def.group_resource(),
                object.name(),
                "this namespace may not be deleted",
            ));
        }
        Ok(())
    }
}

fn check(request: &Request<'_>, object: &Object) -> Result<(), ApiError> {
    let name = &request.target.namespace;
    let scheme = request.registry.scheme();
    let Some(def) = scheme.resource("", "v1", "namespaces") else {
        return Ok(());
    };
    let namespace = request.registry.find_cached(def, "", name)?;
    let namespace = namespace.ok_or_else(|| ApiError::not_found(&def.group_resource(), name))?;
    if !namespace.encoded.is_deleting() {
        return Ok(());
    }
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = ApiError::forbidden(&request.target.def.group_resource(), object.name(), &why);
    if let Value::Object(details) = &mut error.details {
        details.insert(
            "causes".to_owned(),
            json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {name} is being terminated"),
                "field": "metadata.namespace",
            }]),
        );
    }
    Err(error)
}
