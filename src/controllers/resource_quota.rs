//! resourcequota-controller: works out what a quota's namespace uses, when the quota changes and every
//! few minutes. Between them the API server charges and gives back.
//! Kubernetes: `pkg/controller/resourcequota`.

use crate::client::{Client, ClientError, Query, Versions, discover};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use crate::resources::core::pod::sums::{Amounts, add, amounts};
use crate::resources::core::resource_quota::usage::{counted_by, is_in_scope, usage};
use futures::FutureExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it is worked out anew. Kubernetes: resource-quota-sync-period.
const AGAIN: Duration = Duration::from_secs(300);

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "resourcequota-controller",
    account: Some("resourcequota-controller"),
    watches: &[Watched {
        resource: ("", "v1", "resourcequotas"),
        fields: "",
        // What the server charges changes the status alone.
        key: |quota| {
            let known = quota.get(&["status", "hard"]) == quota.get(&["spec", "hard"]);
            (!known).then(|| quota.key())
        },
    }],
    listen: None,
    workers: 5,
    reconcile: |context, key| reconcile(context, key).boxed(),
};

async fn reconcile(context: Context, key: ObjectKey) -> Result<Next, ClientError> {
    let client = &context.client;
    let quotas = GroupVersionResource::new("", "v1", "resourcequotas");
    // Its role may list all and get nothing.
    let name = format!("metadata.name={}", key.name);
    let query = Query::new().with("fieldSelector", &name);
    let listed = client
        .list::<Value>(&quotas, &key.namespace, &query)
        .await?;
    let quota = listed.items.into_iter().next().and_then(Object::from_value);
    let Some(mut quota) = quota.filter(|quota| quota.deletion_timestamp().is_none()) else {
        return Ok(Next::Wait);
    };
    let used = count(client, &quota).await?;
    let status = status(&quota, &used);
    if quota.get(&["status"]) != Some(&status) {
        quota.set(&["status"], status);
        let body = quota.into_value();
        let updated = client.update::<Value>(&quotas, &key.namespace, &key.name, "status", &body);
        match updated.await {
            Err(error) if error.is_not_found() => return Ok(Next::Wait),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(Next::After(AGAIN))
}

/// What the status is to say: everything that is limited, and how much of it is used.
fn status(quota: &Object, used: &Amounts) -> Value {
    let hard = quota
        .get(&["spec", "hard"])
        .cloned()
        .unwrap_or_else(|| json!({}));
    let names = hard.as_object().into_iter().flatten();
    let told: Map<String, Value> = names
        .map(|(name, _)| {
            let amount = used.get(name).map(ToString::to_string);
            (
                name.clone(),
                amount.unwrap_or_else(|| "0".to_owned()).into(),
            )
        })
        .collect();
    json!({"hard": hard, "used": told})
}

/// What all objects that the quota counts use.
async fn count(client: &Client, quota: &Object) -> Result<Amounts, ClientError> {
    let hard = amounts(quota.get(&["spec", "hard"]));
    let counted: BTreeSet<&str> = hard.keys().map(|name| counted_by(name)).collect();
    let mut used = Amounts::new();
    if counted.is_empty() {
        return Ok(used);
    }
    let known = |name: &str| {
        let core = [
            "configmaps",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
        ]
        .into_iter()
        .chain(["resourcequotas", "secrets", "services"]);
        core.into_iter().any(|own| own == name)
    };
    // Most quotas limit what is always there.
    let served = if counted.iter().all(|name| known(name)) {
        let of = |name: &&str| GroupVersionResource::new("", "v1", name);
        counted.iter().map(of).collect()
    } else {
        let served = discover(client, Versions::Preferred).await?;
        let counted = served.into_iter().filter(|served| {
            let name = served.resource.group_resource().to_string();
            counted.contains(name.as_str()) && served.namespaced && served.has("list")
        });
        counted.map(|served| served.resource).collect::<Vec<_>>()
    };
    for resource in &served {
        let of = resource.group_resource();
        let query = Query::new();
        let listed = client.list::<Value>(resource, quota.namespace(), &query);
        for object in listed
            .await?
            .items
            .into_iter()
            .filter_map(Object::from_value)
        {
            if is_in_scope(quota, &of, &object) {
                add(&mut used, &usage(&of, &object));
            }
        }
    }
    Ok(used)
}
