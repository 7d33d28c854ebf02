//! What every cluster holds from its first moment. Must not touch what is there.
//! Kubernetes: controlplane `systemnamespaces` controller.

use crate::api::registry::{Registry, WriteError};
use crate::api::verbs::rules;
use crate::meta::Object;
use crate::stdx::Clock;
use crate::store::StoreError;
use futures::future::join_all;
use serde_json::json;

/// The namespaces of every cluster; the first three can never be deleted.
pub(crate) const NAMESPACES: &[&str] =
    &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes the namespaces that are missing, in one commit of the store.
pub(crate) async fn namespaces(registry: &Registry, clock: &Clock) -> Result<(), StoreError> {
    let Some(def) = registry.scheme.resource("", "v1", "namespaces") else {
        return Ok(());
    };
    let missing = NAMESPACES.iter().filter_map(|name| {
        if registry.find_cached(def, "", name).ok()?.is_some() {
            return None;
        }
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        });
        let mut object = Object::from_value(object)?;
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
