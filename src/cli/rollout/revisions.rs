//! The revisions that there are of a Deployment, StatefulSet or DaemonSet. Must not know what is done
//! with them.
//! Kubernetes: kubectl's `polymorphichelpers/history.go`.

use super::is;
use crate::cli::change::Found;
use crate::cli::context::{CliError, Context};
use crate::client::Query;
use crate::meta::{GroupVersionResource, Object, Selector};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where a Deployment's revision stands.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Why a revision came to be.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// A revision.
#[derive(Debug)]
pub(super) struct Revision {
    /// The ReplicaSet or ControllerRevision that keeps it.
    pub(super) keeper: Object,
    /// Its pod template.
    pub(super) template: Value,
    /// Why it came to be; empty if nobody said.
    pub(super) cause: String,
}

/// The revisions by their numbers.
pub(super) async fn of(
    context: &Context,
    found: &Found,
) -> Result<BTreeMap<i64, Revision>, CliError> {
    let plural = if is(found, "Deployment") {
        "replicasets"
    } else if is(found, "StatefulSet") || is(found, "DaemonSet") {
        "controllerrevisions"
    } else {
        return Ok(BTreeMap::new());
    };
    let selector = Selector::from_label_selector(found.object.get(&["spec", "selector"]));
    let selector = selector.map_err(CliError::new)?;
    let resource = GroupVersionResource::new("apps", "v1", plural);
    let query = Query::new();
    let list = context
        .client
        .list::<Value>(&resource, &found.namespace, &query);
    let list = list.await.map_err(|error| {
        CliError::new(format!(
            "failed to retrieve {plural} of {}: {error}",
            found.object.name()
        ))
    })?;
    let mut revisions = BTreeMap::new();
    for keeper in list.items.into_iter().filter_map(Object::from_value) {
        if !selector.matches_object(&keeper) || !is_controlled(&keeper, found.object.uid()) {
            continue;
        }
        if let Some((number, revision)) = revision(keeper) {
            revisions.insert(number, revision);
        }
    }
    Ok(revisions)
}

fn is_controlled(object: &Object, uid: &str) -> bool {
    let owners = object.get(&["metadata", "ownerReferences"]);
    let mut owners = owners.and_then(Value::as_array).into_iter().flatten();
    owners.any(|owner| {
        owner.get("controller") == Some(&Value::Bool(true))
            && owner.get("uid").and_then(Value::as_str) == Some(uid)
    })
}

fn revision(keeper: Object) -> Option<(i64, Revision)> {
    let cause = keeper
        .annotation(CHANGE_CAUSE)
        .unwrap_or_default()
        .to_owned();
    let (number, mut template) = match keeper.get(&["revision"]) {
        Some(number) => (
            number.as_i64()?,
            keeper.get(&["data", "spec", "template"])?.clone(),
        ),
        None => {
            let number = keeper.annotation(REVISION)?.parse().ok()?;
            (number, keeper.get(&["spec", "template"])?.clone())
        }
    };
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
        // Kubernetes: a ReplicaSet's cause is shown as its template's.
        if !cause.is_empty() && keeper.get(&["revision"]).is_none() {
            let metadata = template
                .entry("metadata")
                .or_insert_with(|| Value::Object(Map::new()));
            let metadata = metadata.as_object_mut()?;
            let annotations = metadata
                .entry("annotations")
                .or_insert_with(|| Value::Object(Map::new()));
            let annotations = annotations.as_object_mut()?;
            annotations.insert(CHANGE_CAUSE.to_owned(), Value::String(cause.clone()));
        }
    }
    let revision = Revision {
        keeper,
        template,
        cause,
    };
    Some((number, revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keepers_of_both_kinds_are_read() {
        let set = json!({
            "metadata": { "annotations": { REVISION: "3", CHANGE_CAUSE: "why" } },
            "spec": { "template": { "spec": { "containers": [] } } },
        });
        let (number, read) = revision(Object::from_value(set).unwrap()).unwrap();
        assert_eq!((number, read.cause.as_str()), (3, "why"));
        assert_eq!(
            read.template["metadata"]["annotations"][CHANGE_CAUSE],
            "why"
        );
        let kept = json!({
            "revision": 2,
            "data": { "spec": { "template": { "$patch": "replace", "spec": {} } } },
        });
        let (number, read) = revision(Object::from_value(kept).unwrap()).unwrap();
        assert_eq!((number, read.template), (2, json!({ "spec": {} })));
    }
}
