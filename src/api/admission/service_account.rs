//! A pod runs as a service account; `default` unless it names one. The token's volume comes with
//! volumes.
//! Kubernetes: admission plugin ServiceAccount.

use super::{Operation, Plugin, Request};
use crate::meta::{ApiError, Object};
use serde_json::json;

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
            pod.set(&["spec", "serviceAccountName"], json!("default"));
        }
        let name = pod.str_at(&["spec", "serviceAccountName"]).to_owned();
        pod.set(&["spec", "serviceAccount"], json!(name));
        Ok(())
    }
}
