//! serviceaccount-controller: every namespace that is not ending has a service account `default`.

use crate::client::ClientError;
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use serde_json::{Value, json};

/// The account that pods act as if they name none.
const DEFAULT: &str = "default";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "serviceaccount-controller",
    account: Some("service-account-controller"),
    watches: &[
        Watched {
            resource: ("", "v1", "namespaces"),
            fields: "",
            key: |object| Some(object.key()),
        },
        Watched {
            resource: ("", "v1", "serviceaccounts"),
            fields: "",
            key: |object| {
                (object.name() == DEFAULT).then(|| ObjectKey::new("", object.namespace()))
            },
        },
    ],
    listen: None,
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// Decide: whether the account is to be made.
fn plan(namespace: &Object, account_exists: bool) -> bool {
    !account_exists && namespace.deletion_timestamp().is_none()
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let accounts = GroupVersionResource::new("", "v1", "serviceaccounts");
    let namespace = match context
        .shared
        .get::<Value>(&namespaces, "", &key.name)
        .await
    {
        Ok(value) => Object::from_value(value).unwrap_or_default(),
        Err(error) if error.is_not_found() => return Ok(Next::Wait),
        Err(error) => return Err(error),
    };
    let exists = match context
        .shared
        .get::<Value>(&accounts, &key.name, DEFAULT)
        .await
    {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
    };
    if plan(&namespace, exists) {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": DEFAULT },
        });
        match context
            .client
            .create::<Value>(&accounts, &key.name, None, &account)
            .await
        {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
    }
    Ok(Next::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_it_is_missing_and_the_namespace_stays() {
        let stays = Object::default();
        let mut ends = Object::default();
        ends.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:00Z"),
        );
        assert!(plan(&stays, false));
        assert!(!plan(&stays, true));
        assert!(!plan(&ends, false));
    }
}
