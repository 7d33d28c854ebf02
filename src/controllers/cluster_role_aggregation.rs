//! clusterrole-aggregation-controller: a role with an aggregation rule has the rules of the roles
//! that its selectors choose.
//! Kubernetes: `pkg/controller/clusterroleaggregation`.

use crate::client::{Client, ClientError, Query, with_query};
use crate::controllers::def::{Context, ControllerDef, Next, Watched};
use crate::meta::{GroupVersionResource, Object, ObjectKey};
use crate::resources::rbac::GROUP;
use crate::resources::rbac::aggregation::aggregated;
use bytes::Bytes;
use futures::FutureExt;
use http::Method;
use serde_json::{Value, json};

/// Who owns the rules.
const MANAGER: &str = "clusterrole-aggregation-controller";

pub(crate) static CONTROLLER: ControllerDef = ControllerDef {
    name: "ClusterRoleAggregator",
    account: Some(MANAGER),
    watches: &[Watched {
        resource: (GROUP, "v1", "clusterroles"),
        fields: "",
        // Each role may be chosen by any other: one key for all of them.
        key: |_| Some(ObjectKey::new("", "")),
    }],
    listen: None,
    workers: 1,
    reconcile: |context, _| reconcile(context).boxed(),
};

/// Decide: the roles whose rules are not what they gather, with the rules that they are to have.
fn plan(roles: &[Object]) -> Vec<(&str, Vec<Value>)> {
    let mut all: Vec<&Object> = roles.iter().collect();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    let none = Vec::new();
    let wanted = all.iter().filter_map(|role| {
        let rules = aggregated(role, &all)?;
        let own = role.get(&["rules"]).and_then(Value::as_array);
        (own.unwrap_or(&none) != &rules).then(|| (role.name(), rules))
    });
    wanted.collect()
}

async fn reconcile(context: Context) -> Result<Next, ClientError> {
    let client = &context.client;
    let resource = GroupVersionResource::new(GROUP, "v1", "clusterroles");
    let listed = client.list::<Value>(&resource, "", &Query::new()).await?;
    let roles = listed.items.into_iter().filter_map(Object::from_value);
    let roles: Vec<Object> = roles.collect();
    for (name, rules) in plan(&roles) {
        apply(client, &resource, name, rules).await?;
    }
    Ok(Next::Wait)
}

async fn apply(
    client: &Client,
    resource: &GroupVersionResource,
    name: &str,
    rules: Vec<Value>,
) -> Result<(), ClientError> {
    let role = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "ClusterRole",
        "metadata": { "name": name },
        "rules": rules,
    });
    let query = Query::new()
        .with("fieldManager", MANAGER)
        .with("force", "true");
    let path = with_query(Client::path(resource, "", name, ""), &query);
    let body = Bytes::from(role.to_string());
    let body = Some(("application/apply-patch+yaml", body));
    match client.call(Method::PATCH, &path, body).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_role_that_lacks_rules_is_written() {
        let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let by = json!({"clusterRoleSelectors": [{"matchLabels": {"into": "all"}}]});
        let roles = [
            json!({"metadata": {"name": "b", "labels": {"into": "all"}}, "rules": [rule]}),
            json!({"metadata": {"name": "a"}, "rules": null, "aggregationRule": by}),
            json!({"metadata": {"name": "c"}, "rules": [rule], "aggregationRule": by}),
        ];
        let roles = roles.map(|role| Object::from_value(role).unwrap());
        assert_eq!(plan(&roles), [("a", vec![rule])]);
    }
}
