//! A pod runs as a service account, which must be there; `default` unless it names one. It pulls with the
//! secrets of its account unless it names its own. The token's volume comes with volumes.
//! Kubernetes: admission plugin ServiceAccount.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::{Value, json};

/// The account of pods that name none.
const DEFAULT: &str = "default";

pub(super) struct ServiceAccount;

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn mutate(
        &self,
        request: &Request<'_>,
        pod: &mut Object,
        _old: Option<&Object>,
    ) -> Result<(), ApiError> {
        // A mirror of a node's own pod runs as nobody.
        let mirror = pod.annotation("kubernetes.io/config.mirror").is_some();
        if request.operation != Operation::Create || !request.is_main("", "pods") || mirror {
            return Ok(());
        }
        if pod.str_at(&["spec", "serviceAccountName"]).is_empty() {
            pod.set(&["spec", "serviceAccountName"], json!(DEFAULT));
        }
        let name = pod.str_at(&["spec", "serviceAccountName"]).to_owned();
        pod.set(&["spec", "serviceAccount"], json!(name));
        let namespace = &request.target.namespace;
        let account = match request.find("", "serviceaccounts", namespace, &name)? {
            Some(account) => account,
            // A new namespace has none for a moment. Kubernetes waits a second for it; here nothing
            // that a pod gets from it is missing meanwhile.
            None if name == DEFAULT => return Ok(()),
            None => {
                let why = format!(
                    "error looking up service account {namespace}/{name}: serviceaccount \
                     {name:?} not found"
                );
                return Err(request.forbidden(pod, &why));
            }
        };
        let own = pod.get(&["spec", "imagePullSecrets"]);
        let has_own = own
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
        if let Some(secrets) = account.get(&["imagePullSecrets"]).filter(|_| !has_own) {
            pod.set(&["spec", "imagePullSecrets"], secrets.clone());
        }
        Ok(())
    }
}
