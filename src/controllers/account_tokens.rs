//! tokens-controller: a Secret of type `kubernetes.io/service-account-token` has the token of the
//! account that it names, and goes when the account goes.
//! Kubernetes: `pkg/controller/serviceaccount` tokens_controller.

use crate::client::{Client, ClientError, Query};
use crate::controllers::def::{Context, ControllerDef, Next, Trust, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// The type of the Secrets.
const TYPE: &str = "kubernetes.io/service-account-token";
/// Whose token it is.
const NAME: &str = "kubernetes.io/service-account.name";
/// The account's unique id.
const UID: &str = "kubernetes.io/service-account.uid";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "serviceaccount_tokens_secret",
    account: None,
    watches: &[
        Watched {
            resource: ("", "v1", "secrets"),
            fields: "type=kubernetes.io/service-account-token",
            key: |secret| Some(secret.key()),
        },
        Watched {
            resource: ("", "v1", "serviceaccounts"),
            fields: "",
            // The secrets of an account are found by looking at those of its namespace.
            key: |account| Some(ObjectKey::new(account.namespace(), "")),
        },
    ],
    listen: None,
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// What is to become of a Secret.
#[derive(Debug, PartialEq)]
enum Plan {
    Nothing,
    /// The account that it is for is not there.
    Delete,
    /// It lacks something.
    Fill(Object),
}

/// Decide. The error tells why no token can be signed.
fn plan(secret: &Object, account: Option<&Object>, trust: &Trust) -> Result<Plan, String> {
    if secret.deletion_timestamp().is_some() {
        return Ok(Plan::Nothing);
    }
    let annotated = secret.annotation(UID).unwrap_or_default();
    let account = account.filter(|account| annotated.is_empty() || annotated == account.uid());
    let Some(account) = account else {
        return Ok(Plan::Delete);
    };
    let mut filled = secret.clone();
    filled.set(&["metadata", "annotations", UID], json!(account.uid()));
    let mut keep = |key: &str, value: &str| {
        filled.set(&["data", key], json!(STANDARD.encode(value)));
    };
    keep("ca.crt", &trust.ca_pem);
    if secret.str_at(&["data", "namespace"]).is_empty() {
        keep("namespace", secret.namespace());
    }
    if secret.str_at(&["data", "token"]).is_empty() {
        let whose = (account.name(), account.uid());
        keep(
            "token",
            &(trust.sign)(secret.namespace(), secret.name(), whose)?,
        );
    }
    Ok(if filled == *secret {
        Plan::Nothing
    } else {
        Plan::Fill(filled)
    })
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.shared;
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let mut query = Query::new();
    let selector = if key.name.is_empty() {
        format!("type={TYPE}")
    } else {
        format!("type={TYPE},metadata.name={}", key.name)
    };
    query = query.with("fieldSelector", &selector);
    let listed = client
        .list::<Value>(&secrets, &key.namespace, &query)
        .await?;
    for secret in listed.items.into_iter().filter_map(Object::from_value) {
        let account = account_of(client, &secret).await?;
        match plan(&secret, account.as_ref(), &context.trust) {
            Ok(Plan::Nothing) => {}
            Ok(Plan::Delete) => delete(client, &secrets, &secret).await?,
            Ok(Plan::Fill(secret)) => fill(client, &secrets, secret).await?,
            Err(error) => tracing::error!(secret = %secret.key(), error, "no token"),
        }
    }
    Ok(Next::Wait)
}

async fn account_of(client: &Client, secret: &Object) -> Result<Option<Object>, ClientError> {
    let accounts = GroupVersionResource::new("", "v1", "serviceaccounts");
    let name = secret.annotation(NAME).unwrap_or_default();
    if name.is_empty() {
        return Ok(None);
    }
    match client
        .get::<Value>(&accounts, secret.namespace(), name)
        .await
    {
        Ok(account) => Ok(Object::from_value(account)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn delete(
    client: &Client,
    secrets: &GroupVersionResource,
    secret: &Object,
) -> Result<(), ClientError> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": { "uid": secret.uid() },
    });
    match client
        .delete(secrets, secret.namespace(), secret.name(), &options)
        .await
    {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

async fn fill(
    client: &Client,
    secrets: &GroupVersionResource,
    mut secret: Object,
) -> Result<(), ClientError> {
    // An item of a list does not say what it is.
    secret.set(&["apiVersion"], json!("v1"));
    secret.set(&["kind"], json!("Secret"));
    let (namespace, name) = (secret.namespace().to_owned(), secret.name().to_owned());
    let body = secret.into_value();
    let updated = client
        .update::<IgnoredAny>(secrets, &namespace, &name, "", &body)
        .await;
    match updated {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(annotations: Value, data: Value) -> Object {
        Object::from_value(json!({
            "metadata": { "name": "s", "namespace": "d", "annotations": annotations },
            "type": TYPE, "data": data,
        }))
        .unwrap()
    }

    #[test]
    fn a_secret_is_filled_once_and_goes_with_its_account() {
        let trust = Trust {
            ca_pem: "ca".to_owned(),
            sign: Box::new(|namespace, secret, (account, uid)| {
                Ok(format!("{namespace}/{secret}/{account}/{uid}"))
            }),
        };
        let account = json!({"metadata": {"name": "a", "namespace": "d", "uid": "1"}});
        let account = Object::from_value(account).unwrap();
        let empty = secret(json!({ NAME: "a" }), json!({}));
        let Ok(Plan::Fill(filled)) = plan(&empty, Some(&account), &trust) else {
            panic!("not filled");
        };
        let data = |key: &str| STANDARD.decode(filled.str_at(&["data", key])).unwrap();
        assert_eq!(data("token"), b"d/s/a/1");
        assert_eq!(data("namespace"), b"d");
        assert_eq!(data("ca.crt"), b"ca");
        assert_eq!(filled.annotation(UID), Some("1"));
        assert_eq!(plan(&filled, Some(&account), &trust), Ok(Plan::Nothing));
        assert_eq!(plan(&filled, None, &trust), Ok(Plan::Delete));
        let other = secret(json!({ NAME: "a", UID: "2" }), json!({}));
        assert_eq!(plan(&other, Some(&account), &trust), Ok(Plan::Delete));
    }
}
