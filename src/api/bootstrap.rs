//! What every cluster holds from its first moment. Must not touch what is there.
//! Kubernetes: controlplane `systemnamespaces` controller, `pkg/registry/scheduling/rest`.

use crate::api::registry::{Registry, WriteError};
use crate::api::verbs::rules;
use crate::meta::Object;
use crate::resources::scheduling::priority_class::SYSTEM_CLASSES;
use crate::stdx::Clock;
use crate::store::StoreError;
use futures::future::join_all;
use serde_json::json;

/// The namespaces of every cluster; the first three can never be deleted.
pub(crate) const NAMESPACES: &[&str] =
    &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Kubernetes' own priority classes, and what they are for.
const PRIORITY_CLASSES: &[(&str, &str)] = &[
    (
        "system-node-critical",
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        "Used for system critical pods that must run in the cluster, but can be moved to another \
         node if necessary.",
    ),
];

/// Makes the namespaces and priority classes that are missing, in one commit of the store.
pub(crate) async fn objects(registry: &Registry, clock: &Clock) -> Result<(), StoreError> {
    let namespaces = NAMESPACES.iter().map(|name| {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        })
    });
    let classes = PRIORITY_CLASSES.iter().map(|(name, description)| {
        let value = SYSTEM_CLASSES.iter().find(|(own, _)| own == name);
        json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": name },
            "value": value.map(|(_, value)| value),
            "description": description,
        })
    });
    let missing = namespaces.chain(classes).filter_map(|object| {
        let mut object = Object::from_value(object)?;
        let def = registry
            .scheme
            .by_api_version(object.api_version(), object.kind())?;
        if registry.find_cached(def, "", object.name()).ok()?.is_some() {
            return None;
        }
        def.strategy.default(&mut object);
        rules::begin_create(def, &mut object, clock);
        Some(async move { registry.insert(def, &object).await })
    });
    for written in join_all(missing).await {
        match written {
            Ok(_) | Err(WriteError::Changed) => {}
            Err(WriteError::Api(error)) => return Err(StoreError::Data(error.message)),
        }
    }
    Ok(())
}
