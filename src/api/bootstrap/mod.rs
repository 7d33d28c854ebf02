//! What every cluster holds from its first moment. Must not take away from what is there.
//! Kubernetes: controlplane `systemnamespaces` controller, `pkg/registry/scheduling/rest`,
//! `pkg/registry/rbac/rest`.

mod advertised;
mod policy;

pub(crate) use advertised::advertise;

use crate::api::registry::{Cached, Registry, WriteError};
use crate::api::service_range::ServiceRange;
use crate::api::verbs::rules;
use crate::api::{fairness, service_addresses};
use crate::meta::{Object, time};
use crate::resources::rbac;
use crate::resources::scheduling::priority_class::SYSTEM_CLASSES;
use crate::stdx::Clock;
use crate::store::StoreError;
use futures::future::join_all;
use serde_json::json;
use std::future::Future;

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

/// Makes what is missing, and adds to roles and bindings what they lack, in one commit of the store;
/// writes nothing where nothing is missing.
pub(crate) async fn objects(
    registry: &Registry,
    clock: &Clock,
    range: &ServiceRange,
) -> Result<(), StoreError> {
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
    let now = time::rfc3339(clock.now());
    let cidr = [service_addresses::service_cidr(range, &now)];
    let firsts = namespaces.chain(classes).chain(cidr);
    let firsts = firsts.filter_map(Object::from_value);
    let flows = fairness::mandatory::objects(clock);
    let wanted = firsts.chain(policy::objects()).chain(flows);
    let writes = wanted.filter_map(|object| write(registry, clock, object));
    for written in join_all(writes).await {
        match written {
            Ok(_) | Err(WriteError::Changed) => {}
            Err(WriteError::Api(error)) => return Err(StoreError::Data(error.message)),
        }
    }
    Ok(())
}

/// The write that an object needs, if it needs one.
fn write<'a>(
    registry: &'a Registry,
    clock: &Clock,
    mut wanted: Object,
) -> Option<impl Future<Output = Result<Cached, WriteError>> + use<'a>> {
    let scheme = registry.scheme();
    let def = scheme
        .by_api_version(wanted.api_version(), wanted.kind())?
        .clone();
    let found = registry
        .find_cached(&def, wanted.namespace(), wanted.name())
        .ok()?;
    def.strategy.default(&mut wanted);
    let (object, revision) = match found {
        None => {
            let status = wanted.get(&["status"]).cloned();
            rules::begin_create(&def, &mut wanted, clock);
            if let Some(status) = status {
                wanted.set(&["status"], status);
            }
            (wanted, None)
        }
        Some(cached) if def.group == fairness::GROUP => {
            let found = cached.object().ok()?;
            (fairness::corrected(&wanted, &found)?, Some(cached.revision))
        }
        Some(_) if def.group != rbac::GROUP => return None,
        Some(cached) => match policy::reconciled(&wanted, &cached.object().ok()?) {
            policy::Reconciled::Unchanged => return None,
            policy::Reconciled::Changed(object) => (object, Some(cached.revision)),
            // What a binding gives cannot be changed: it is another binding from now on.
            policy::Reconciled::Anew => {
                rules::begin_create(&def, &mut wanted, clock);
                (wanted, Some(cached.revision))
            }
        },
    };
    Some(async move {
        match revision {
            None => registry.insert(&def, &object).await,
            Some(revision) => registry.replace(&def, &object, revision).await,
        }
    })
}
