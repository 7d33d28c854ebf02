//! root-ca-cert-publisher: every namespace that is not ending has a ConfigMap with the certificate by
//! which pods know the server.
//! Kubernetes: `pkg/controller/certificates/rootcacertpublisher`.

use crate::client::ClientError;
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use futures::FutureExt;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Its name in each namespace.
const NAME: &str = "kube-root-ca.crt";
/// Where it tells what it is for.
const DESCRIPTION: &str = "kubernetes.io/description";
/// What it is for.
const WORDS: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using \
                     internal endpoints such as the internal service IP or kubernetes.default.svc. No \
                     other usage is guaranteed across distributions of Kubernetes clusters.";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "root_ca_cert_publisher",
    account: Some("root-ca-cert-publisher"),
    watches: &[
        Watched {
            resource: ("", "v1", "namespaces"),
            fields: "",
            key: |namespace| Some(namespace.key()),
        },
        Watched {
            resource: ("", "v1", "configmaps"),
            fields: "metadata.name=kube-root-ca.crt",
            key: |map| Some(ObjectKey::new("", map.namespace())),
        },
    ],
    listen: None,
    workers: 1,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

/// What is to be written.
#[derive(Debug, PartialEq)]
enum Plan {
    Nothing,
    Create(Object),
    Update(Object),
}

/// Decide.
fn plan(namespace: &Object, present: Option<Object>, ca_pem: &str) -> Plan {
    if namespace.deletion_timestamp().is_some() {
        return Plan::Nothing;
    }
    let exists = present.is_some();
    let mut map = present.unwrap_or_default();
    let data = json!({ "ca.crt": ca_pem });
    let described = map
        .annotation(DESCRIPTION)
        .is_some_and(|text| !text.is_empty());
    if described && map.get(&["data"]) == Some(&data) {
        return Plan::Nothing;
    }
    map.set(&["data"], data);
    map.set(&["metadata", "annotations", DESCRIPTION], json!(WORDS));
    if exists {
        return Plan::Update(map);
    }
    map.set(&["apiVersion"], json!("v1"));
    map.set(&["kind"], json!("ConfigMap"));
    map.set(&["metadata", "name"], json!(NAME));
    Plan::Create(map)
}

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let namespaces = GroupVersionResource::new("", "v1", "namespaces");
    let maps = GroupVersionResource::new("", "v1", "configmaps");
    let read = async |resource: &GroupVersionResource, namespace: &str, name: &str| match context
        .shared
        .get::<Value>(resource, namespace, name)
        .await
    {
        Ok(value) => Ok(Object::from_value(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    };
    let Some(namespace) = read(&namespaces, "", &key.name).await? else {
        return Ok(Next::Wait);
    };
    let present = read(&maps, &key.name, NAME).await?;
    let client = &context.client;
    let written = match plan(&namespace, present, &context.trust.ca_pem) {
        Plan::Nothing => return Ok(Next::Wait),
        Plan::Create(map) => {
            let map = map.into_value();
            client
                .create::<IgnoredAny>(&maps, &key.name, None, &map)
                .await
        }
        Plan::Update(map) => {
            let map = map.into_value();
            let (maps, name) = (&maps, &key.name);
            client
                .update::<IgnoredAny>(maps, name, NAME, "", &map)
                .await
        }
    };
    match written {
        Err(error) if error.is_already_exists() || error.is_not_found() => Ok(Next::Wait),
        Err(error) => Err(error),
        Ok(_) => Ok(Next::Wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_mended_when_it_is_changed() {
        let namespace = Object::default();
        let Plan::Create(map) = plan(&namespace, None, "ca") else {
            panic!("not made");
        };
        assert_eq!(map.name(), NAME);
        assert_eq!(plan(&namespace, Some(map.clone()), "ca"), Plan::Nothing);
        let mut changed = map.clone();
        changed.set(&["data", "more"], json!("x"));
        assert_eq!(
            plan(&namespace, Some(changed), "ca"),
            Plan::Update(map.clone())
        );
        let mut ends = Object::default();
        ends.set(
            &["metadata", "deletionTimestamp"],
            json!("2026-01-01T00:00:00Z"),
        );
        assert_eq!(plan(&ends, None, "ca"), Plan::Nothing);
    }
}
